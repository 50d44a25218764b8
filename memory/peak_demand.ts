import type { RequestId } from "./ids.ts";

interface Held {
  /** KV that it holds now, in tokens. */
  readonly tokens: number;
  /** Tokens by which it may still grow. */
  readonly growth: number;
}

/** What sequences may come to hold together if each runs to its last allowed token. */
export class PeakDemand {
  readonly #held = new Map<RequestId, Held>();
  readonly #blockTokens: number;

  constructor(blockTokens: number) {
    this.#blockTokens = blockTokens;
  }

  set(request: RequestId, tokens: number, growth: number): void {
    this.#held.set(request, { tokens, growth });
  }

  delete(request: RequestId): void {
    this.#held.delete(request);
  }

  /**
   * Tokens that must find room at the peak beside what all hold at first, a newcomer included; 0 where it is alone.
   * All make a token a step, so those with the k most to grow are there together until the k-th ends, and then
   * hold `sum of tokens + k growth_k` (S-LoRA's admission test), rounded up to blocks.
   */
  with(newcomer: Held): number {
    if (this.#held.size === 0) return 0;
    const all = [...this.#held.values(), newcomer].sort((a, b) => b.growth - a.growth);
    const block = this.#blockTokens;
    let [peak, tokens, now] = [0, 0, 0];
    all.forEach((held, i) => {
      tokens += held.tokens;
      now += Math.ceil(held.tokens / block) * block;
      peak = Math.max(peak, tokens + (i + 1) * (held.growth + block - 1));
    });
    return Math.max(0, peak - now);
  }
}
