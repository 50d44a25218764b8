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
  /** Those that may grow most first; null where it has changed since. */
  #order: readonly Held[] | null = null;
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
    this.#order = null;
  }

  delete(request: RequestId): void {
    if (this.#held.delete(request)) this.#order = null;
  }

  /**
   * Tokens that must find room at the peak beside what all hold at first, a newcomer included, over-committed; 0 where
   * it is alone, or holds pages. All make a token a step, so those with the k most to grow are there together until
   * the k-th ends, and then hold `sum of tokens + k growth_k` (S-LoRA's admission test), rounded up to blocks.
   */
  kept({ request, tokens, growth = 0 }: Wanted): number {
    const alone = this.#held.size === 0 || this.#held.has(request);
    if (alone || this.#overCommit === Infinity) return 0;
    // Many ask before one is granted something.
    this.#order ??= [...this.#held.values()].sort((a, b) => b.growth - a.growth);
    const block = this.#blockTokens;
    let [peak, sum, now, count] = [0, 0, 0, 0];
    const add = (held: Held) => {
      sum += held.tokens;
      now += Math.ceil(held.tokens / block) * block;
      peak = Math.max(peak, sum + ++count * (held.growth + block - 1));
    };
    let waits = true;
    for (const held of this.#order) {
      if (waits && growth > held.growth) {
        add({ tokens, growth });
        waits = false;
      }
      add(held);
    }
    if (waits) add({ tokens, growth });
    return Math.ceil(Math.max(0, peak - now) / this.#overCommit);
  }
}
