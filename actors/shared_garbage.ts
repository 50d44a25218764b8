/** As much may lie about, or a sixteenth of what images may take, if that is more. */
const LEAST_BYTES = 64 * 2 ** 20;
const PART = 16;
/** When nothing more has been dropped for so long, what was is collected however little it is. */
const QUIET_MS = 1000;
/** And not more often than this, for a collection takes the longer the more requests wait. */
const APART_MS = 10_000;

/**
 * When to collect garbage for the images that were dropped. They lie in shared memory, none of which V8 counts as
 * held by the small objects that hold it in each isolate that has seen them: by itself it sees no reason to collect
 * these, and gigabytes stay. A collection holds up its thread for milliseconds, and for a hundred where 100,000
 * requests wait, so it is not asked for each image.
 */
export class SharedGarbage {
  readonly #bound: number;
  #total = 0;
  #collected = 0;
  #droppedAt = -Infinity;
  #collectedAt = -Infinity;

  /** `limit`: bytes that images may take in all. */
  constructor(limit: number) {
    this.#bound = Math.max(LEAST_BYTES, limit / PART);
  }

  /** Bytes dropped in all, since the start. */
  dropped(total: number, nowMs: number): void {
    if (total === this.#total) return;
    this.#total = total;
    this.#droppedAt = nowMs;
  }

  /** Whether to collect now; then what was dropped so far counts as gone. */
  due(nowMs: number): boolean {
    const waiting = this.#total - this.#collected;
    const quiet = waiting > 0 && nowMs - this.#droppedAt >= QUIET_MS &&
      nowMs - this.#collectedAt >= APART_MS;
    if (!quiet && waiting < this.#bound) return false;
    this.#collected = this.#total;
    this.#collectedAt = nowMs;
    return true;
  }
}

/** Frees what nobody in this isolate holds any more; nothing happens where V8 runs without `--expose-gc`. */
export function collectGarbage(): void {
  globalThis.gc?.();
}

declare global {
  /** There where V8 runs with `--expose-gc`. */
  var gc: (() => void) | undefined;
}
