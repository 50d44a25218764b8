import { NumpyRandom } from "./numpy_random.ts";

/** One request of a trace. */
export interface TraceRequest {
  /** Seconds after the start. */
  readonly at: number;
  /** 0 to adapters - 1; null: the base model. */
  readonly adapter: number | null;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** How requests choose among the adapters. */
export type Popularity =
  /** S-LoRA's: adapter floor(n x) with density alpha x^(alpha-1); 1 is uniform, less is more skewed. */
  | { readonly kind: "power"; readonly alpha: number }
  /** Adapter k in proportion to 1 / (k + 1)^exponent. */
  | { readonly kind: "zipf"; readonly exponent: number }
  /** One permutation of all adapters after another: n requests in a row touch n adapters. */
  | { readonly kind: "permutation" }
  /** 0, 1, 2 and so on, over and over. */
  | { readonly kind: "round-robin" };

export interface TraceOptions {
  /** Requests a second. */
  readonly rate: number;
  readonly seconds: number;
  /** Coefficient of variation of the times between requests; 1 is a Poisson process. */
  readonly cv: number;
  /** 0: base only. */
  readonly adapters: number;
  readonly popularity: Popularity;
  /** Lengths are uniform, the upper bound excluded. */
  readonly promptTokens: readonly [least: number, below: number];
  readonly outputTokens: readonly [least: number, below: number];
  readonly seed: number;
}

/**
 * The synthetic trace of S-LoRA (benchmarks/trace.py): floor(rate * seconds) requests of one Gamma process, drawn in
 * its order from numpy's generator, so that the same options give the same trace as there.
 */
export function syntheticTrace(options: TraceOptions): TraceRequest[] {
  const { rate, seconds, cv, adapters, popularity } = options;
  const random = new NumpyRandom(options.seed);
  const count = Math.floor(rate * seconds);
  const draw = <T>(one: () => T) => Array.from({ length: count }, one);
  const choose = chooser(popularity, adapters, random);
  const chosen = draw(choose);
  const prompts = draw(() => random.integer(...options.promptTokens));
  const outputs = draw(() => random.integer(...options.outputTokens));
  let at = 0;
  return draw(() => at += random.gamma(1 / cv ** 2, cv ** 2 / rate)).map((at, i) => ({
    at,
    adapter: adapters === 0 ? null : chosen[i] ?? 0,
    promptTokens: prompts[i] ?? 1,
    outputTokens: outputs[i] ?? 1,
  }));
}

function chooser(popularity: Popularity, adapters: number, random: NumpyRandom): () => number {
  switch (popularity.kind) {
    case "power":
      return () => Math.floor(random.power(popularity.alpha) * adapters);
    case "zipf":
      return zipf(adapters, popularity.exponent, random);
    case "permutation":
      return permutations(adapters, random);
    case "round-robin": {
      let next = 0;
      return () => next++ % adapters;
    }
  }
}

/** Fisher and Yates' shuffle, dealt out and begun anew. */
function permutations(adapters: number, random: NumpyRandom): () => number {
  let left: number[] = [];
  return () => {
    if (left.length === 0) left = Array.from({ length: adapters }, (_, i) => i);
    const at = Math.floor(random.uniform() * left.length);
    const chosen = left[at] ?? 0;
    left[at] = left.at(-1) ?? 0;
    left.pop();
    return chosen;
  };
}

function zipf(adapters: number, exponent: number, random: NumpyRandom): () => number {
  const cumulative: number[] = [];
  let sum = 0;
  for (let k = 1; k <= adapters; k++) cumulative.push(sum += k ** -exponent);
  return () => {
    const target = random.uniform() * sum;
    return Math.max(0, cumulative.findIndex((bound) => target < bound));
  };
}
