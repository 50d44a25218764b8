import type { AdapterId } from "../../memory/ids.ts";

/** Reads that someone waits for: enough that a few which hang hold up no other. */
const LOADS_AT_ONCE = 16;
/** Reads under way above which nothing is read that nobody waits for: more only takes the choice away. */
const AHEAD_AT_ONCE = 4;

/**
 * What to read from disk next: adapters that a request waits for, then those that requests in the queue will
 * want, then those only registered, each once and in the order of asking. What is slow takes one of many lanes.
 */
export class LoadQueue {
  readonly #awaited = new Set<AdapterId>();
  #expected: ReadonlySet<AdapterId> = new Set();
  /** Of those expected, the ones that were not read since they are. */
  #unread = new Set<AdapterId>();
  readonly #registered = new Set<AdapterId>();
  readonly #loading = new Set<AdapterId>();

  /** To be read once, when there is nothing better to do. */
  register(adapter: AdapterId): void {
    if (!this.#loading.has(adapter)) this.#registered.add(adapter);
  }

  /** Someone waits for it. */
  hurry(adapter: AdapterId): void {
    if (!this.#loading.has(adapter)) this.#awaited.add(adapter);
  }

  /** Replaces what is expected to be waited for. */
  expect(adapters: readonly AdapterId[]): void {
    this.#expected = new Set(adapters);
    this.#unread = new Set(adapters);
  }

  expects(adapter: AdapterId): boolean {
    return this.#expected.has(adapter);
  }

  /** Not to be read any more; where it is being read already, the answer is still due. */
  forget(adapter: AdapterId): void {
    this.#awaited.delete(adapter);
    this.#unread.delete(adapter);
    this.#registered.delete(adapter);
  }

  /** The loader has answered. */
  ended(adapter: AdapterId): void {
    this.#loading.delete(adapter);
  }

  /** The next to read, of those still `wanting` it; null where all lanes are taken or nothing is to do. */
  next(wanting: (adapter: AdapterId) => boolean): AdapterId | null {
    if (this.#loading.size >= LOADS_AT_ONCE) return null;
    const ahead = this.#loading.size < AHEAD_AT_ONCE ? [this.#unread, this.#registered] : [];
    for (const some of [this.#awaited, ...ahead]) {
      for (const adapter of some) {
        if (this.#loading.has(adapter) || !wanting(adapter)) continue;
        this.forget(adapter);
        this.#loading.add(adapter);
        return adapter;
      }
    }
    return null;
  }
}
