import type { AttentionShape, KeysValues } from "./kv_fixture.ts";

/** softmax(q . K / sqrt(headDim)) V of one head over the keys [first, end), with its m and l. */
export function attentionHead(
  q: ArrayLike<number>,
  sequence: KeysValues,
  shape: AttentionShape,
  head: number,
  first: number,
  end: number,
): { o: Float64Array; m: number; l: number } {
  const { heads, kvHeads, headDim } = shape;
  const kvHead = Math.floor(head / (heads / kvHeads));
  const at = (k: number, d: number) => (k * kvHeads + kvHead) * headDim + d;
  const scores: number[] = [];
  for (let k = first; k < end; k++) {
    let dot = 0;
    for (let d = 0; d < headDim; d++) dot += num(q, d) * num(sequence.keys, at(k, d));
    scores.push(dot / Math.sqrt(headDim));
  }
  const m = Math.max(...scores);
  const o = new Float64Array(headDim);
  let l = 0;
  for (let k = first; k < end; k++) l += Math.exp(num(scores, k - first) - m);
  for (let d = 0; d < headDim; d++) {
    let sum = 0;
    for (let k = first; k < end; k++) {
      sum += Math.exp(num(scores, k - first) - m) * num(sequence.values, at(k, d));
    }
    o[d] = sum / l;
  }
  return { o, m, l };
}

/** Attention of the token at `position`, all heads: it sees the last `window` positions, 0: all. */
export function attention(
  q: ArrayLike<number>,
  sequence: KeysValues,
  shape: AttentionShape,
  position: number,
  window: number,
): number[] {
  const first = window === 0 ? 0 : Math.max(0, position + 1 - window);
  const out: number[] = [];
  for (let head = 0; head < shape.heads; head++) {
    const row = Array.from(
      { length: shape.headDim },
      (_, d) => num(q, head * shape.headDim + d),
    );
    out.push(...attentionHead(row, sequence, shape, head, first, position + 1).o);
  }
  return out;
}

function num(numbers: ArrayLike<number>, i: number): number {
  const value = numbers[i];
  if (value === undefined) throw new RangeError(`Cannot read ${i} of ${numbers.length} numbers`);
  return value;
}
