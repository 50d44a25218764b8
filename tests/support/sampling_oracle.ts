/** The numbers that shape one row's distribution. */
export interface Shaping {
  readonly temperature: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
}

/** Probability of each token after temperature, min-p, top-k and top-p, by sorting. */
export function distribution(scores: ArrayLike<number>, shaping: Shaping): Float64Array {
  const { temperature, topK = 0, topP = 1, minP = 0 } = shaping;
  const list = Array.from(scores);
  const top = Math.max(...finite(list));
  const weights = list.map((score) =>
    score > -Infinity ? Math.exp((score - top) / temperature) : 0
  );
  // Tokens by falling score; only what is in `kept` stays.
  let kept = list.map((_, v) => v).filter((v) => list[v] !== -Infinity);
  kept.sort((a, b) => at(list, b) - at(list, a));
  kept = kept.filter((v) => at(weights, v) >= minP);
  const kth = kept[Math.min(topK, kept.length) - 1];
  if (kth !== undefined) kept = kept.filter((v) => at(list, v) >= at(list, kth));
  const total = sum(kept.map((v) => at(weights, v)));
  if (topP < 1) {
    kept = kept.filter((v) => {
      const higher = kept.filter((u) => at(list, u) > at(list, v));
      return sum(higher.map((u) => at(weights, u))) < topP * total;
    });
  }
  const rest = sum(kept.map((v) => at(weights, v)));
  const probabilities = new Float64Array(list.length);
  for (const v of kept) probabilities[v] = at(weights, v) / rest;
  return probabilities;
}

/** The lowest index of the largest number, 0 where there is none. */
export function argmax(scores: ArrayLike<number>): number {
  let best = 0;
  for (let v = 1; v < scores.length; v++) if (at(scores, v) > at(scores, best)) best = v;
  return best;
}

/**
 * Whether `counts` could be draws from `probabilities`: Pearson's chi-square with the cells of fewer than five
 * expected draws pooled, against its 99.9 % quantile (Wilson and Hilferty's approximation).
 */
export function fits(counts: ArrayLike<number>, probabilities: ArrayLike<number>): boolean {
  const draws = sum(Array.from(counts));
  let statistic = 0;
  let cells = 0;
  let pooledCount = 0;
  let pooled = 0;
  for (let v = 0; v < counts.length; v++) {
    const expected = at(probabilities, v) * draws;
    if (expected === 0 && at(counts, v) > 0) return false;
    if (expected < 5) {
      pooledCount += at(counts, v);
      pooled += expected;
      continue;
    }
    statistic += (at(counts, v) - expected) ** 2 / expected;
    cells++;
  }
  if (pooled > 0) {
    statistic += (pooledCount - pooled) ** 2 / Math.max(pooled, 1);
    cells++;
  }
  const freedom = Math.max(1, cells - 1);
  const spread = 2 / (9 * freedom);
  return statistic <= freedom * (1 - spread + 3.09 * Math.sqrt(spread)) ** 3;
}

function finite(numbers: readonly number[]): number[] {
  return numbers.filter((number) => Number.isFinite(number));
}
function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
function at(numbers: ArrayLike<number>, i: number): number {
  const value = numbers[i];
  if (value === undefined) throw new RangeError(`Cannot read ${i} of ${numbers.length} numbers`);
  return value;
}

/** What penalties know of a token. */
export interface Occurrence {
  readonly generated: number;
  readonly inPrompt: boolean;
}

/** Strengths of the penalties; absent ones do nothing. */
export interface Penalties {
  readonly repetition?: number;
  readonly frequency?: number;
  readonly presence?: number;
}

/** The score of a biased logit after repetition, frequency and presence penalties, in vLLM's order. */
export function penalizedScore(logit: number, token: Occurrence, penalties: Penalties): number {
  const { repetition = 1, frequency = 0, presence = 0 } = penalties;
  let score = logit;
  if (token.inPrompt || token.generated > 0) {
    score = score > 0 ? score / repetition : score * repetition;
  }
  score -= frequency * token.generated;
  if (token.generated > 0) score -= presence;
  return score;
}

/** log softmax. */
export function logSoftmax(logits: ArrayLike<number>): Float64Array {
  const list = Float64Array.from(logits);
  const top = Math.max(...finite([...list]));
  const total = sum([...list].map((x) => Math.exp(x - top)));
  return list.map((x) => x - top - Math.log(total));
}
