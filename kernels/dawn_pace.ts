/**
 * Dawn has its events processed by `setImmediate`, again and again for as long as anything is awaited, and each time
 * leaves an object whose finalizer Deno runs 20 to 30 us long, thousands of them at once: streams then stand still
 * for half a second. So its turns are spaced out, the thread asleep in between, and garbage is collected often.
 */
export class DawnPace {
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  /** Milliseconds of the last waits. */
  readonly #waits: number[] = [];
  #since: number | null = null;
  #reads = 0;
  /** What is awaited and takes milliseconds at least. */
  #slow = 0;

  /** Called when the wait for a result begins. */
  begin(): void {
    this.#since = performance.now();
  }

  /** Called when the result is there. */
  end(): void {
    if (this.#since === null) return;
    this.#waits.push(performance.now() - this.#since);
    if (this.#waits.length > REMEMBERED) this.#waits.shift();
    this.#since = null;
    if (++this.#reads % READS_A_COLLECTION === 0) globalThis.gc?.();
  }

  /** Awaits what Dawn does on threads of its own and what takes long, like compiling. */
  async slowly<T>(promise: Promise<T>): Promise<T> {
    this.#slow++;
    try {
      return await promise;
    } finally {
      this.#slow--;
    }
  }

  /** Sleeps where a result is awaited, before the next look at whether it is there. */
  pause(): void {
    if (this.#since === null) {
      if (this.#slow > 0) Atomics.wait(this.#cell, 0, 0, 1);
      return;
    }
    Atomics.wait(this.#cell, 0, 0, pauseFor(performance.now() - this.#since, this.#waits));
  }
}

/**
 * Milliseconds to sleep when `elapsed` have been waited: until the result is due by the shortest of the last waits,
 * then a little longer each time.
 */
export function pauseFor(elapsed: number, waits: readonly number[]): number {
  const due = waits.length > 0 ? Math.min(...waits) * EARLY : 0;
  return elapsed < due ? due - elapsed : Math.min(1, Math.max(0.02, elapsed / 32));
}

const REMEMBERED = 8;
const EARLY = 0.9;
/** A collection takes some milliseconds, whatever there is to collect. */
const READS_A_COLLECTION = 256;

declare global {
  /** There where V8 runs with `--expose-gc`. */
  var gc: (() => void) | undefined;
}

/** The pace of this thread's Dawn: `setImmediate` pauses by it. */
export function paceDawn(): DawnPace {
  const pace = new DawnPace();
  const immediately = globalThis.setImmediate;
  const paced = (turn: (...args: unknown[]) => void, ...args: unknown[]) =>
    immediately(() => {
      pace.pause();
      turn(...args);
    });
  Object.assign(globalThis, { setImmediate: paced });
  return pace;
}
