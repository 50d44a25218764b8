import type { RequestId } from "./ids.ts";
import type { MemoryWant } from "./memory_plan.ts";

type Wanted = Pick<MemoryWant, "request" | "tokens" | "growth">;

interface Held {
  /** KV that it holds now, in tokens. */
  readonly tokens: number;
  /** Tokens by which it may still grow. */
  readonly growth: number;
}

/** What sequences may come to hold together if each runs to the last token that it is counted on to make. */
export class PeakDemand {
  readonly #held = new Map<RequestId, Held>();
  readonly #blockTokens: number;
  readonly #overCommit: number;

  /** `overCommit` as in MemoryShape. */
  constructor(blockTokens: number, overCommit = Infinity) {
    this.#blockTokens = blockTokens;
    this.#overCommit = overCommit;
  }

  /** It was granted what it wanted. */
  set({ request, tokens, growth = 0 }: Wanted): void {
    this.#held.set(request, { tokens, growth });
  }

  delete(request: RequestId): void {
    this.#held.delete(request);
  }

  /**
   * Tokens that must find room at the peak beside what all hold at first, a newcomer included, over-committed; 0 where
   * it is alone, or holds pages. All make a token a step, so those with the k most to grow are there together until
   * the k-th ends, and then hold `sum of tokens + k growth_k` (S-LoRA's admission test), rounded up to blocks.
   */
  kept({ request, tokens, growth = 0 }: Wanted): number {
    const alone = this.#held.size === 0 || this.#held.has(request);
    if (alone || this.#overCommit === Infinity) return 0;
    const all = [...this.#held.values(), { tokens, growth }].sort((a, b) => b.growth - a.growth);
    const block = this.#blockTokens;
    let [peak, sum, now] = [0, 0, 0];
    all.forEach((held, i) => {
      sum += held.tokens;
      now += Math.ceil(held.tokens / block) * block;
      peak = Math.max(peak, sum + (i + 1) * (held.growth + block - 1));
    });
    return Math.ceil(Math.max(0, peak - now) / this.#overCommit);
  }
}
