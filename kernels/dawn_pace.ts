/**
 * Dawn has its events processed by `setImmediate`, again and again for as long as anything is awaited, and each time
 * leaves an object whose finalizer Deno runs 20 to 30 us long, thousands of them at once: streams then stand still
 * for half a second. So its turns are spaced out, and garbage is collected often. While a result is waited for, the
 * thread sleeps in between, for it has nothing else to do; at other times a timer brings the next turn, since a thread
 * that sleeps a quarter of a millisecond in each turn hears of a message after five.
 */
export class DawnPace {
  readonly #immediately: (turn: () => void) => void;
  readonly #cell = new Int32Array(new SharedArrayBuffer(4));
  readonly #due = new DueTime();
  #since: number | null = null;
  #looks = 0;
  #reads = 0;
  /** What is awaited and takes milliseconds at least, unless it has ended by the first look. */
  #slow = 0;
  #looked = false;
  /** Turns that a timer will bring. */
  readonly #later = new Map<ReturnType<typeof setTimeout>, () => void>();

  /** `immediately` brings a turn as soon as whatever is there has been done. */
  constructor(immediately: (turn: () => void) => void) {
    this.#immediately = immediately;
  }

  /** Called when the wait for a result begins. */
  begin(): void {
    this.#since = performance.now();
    this.#looks = 0;
    this.#hurry();
  }

  /** Called when the result is there. */
  end(): void {
    if (this.#since === null) return;
    this.#due.waited(performance.now() - this.#since, this.#looks);
    this.#since = null;
    if (++this.#reads % READS_A_COLLECTION === 0) globalThis.gc?.();
  }

  /** Awaits what Dawn does on threads of its own, or the GPU, and what may take long, like compiling. */
  async slowly<T>(promise: Promise<T>): Promise<T> {
    this.#slow++;
    this.#looked = false;
    this.#hurry();
    try {
      return await promise;
    } finally {
      this.#slow--;
    }
  }

  /** Takes a turn of Dawn's, in which it looks whether something is there, when it is due. */
  take(turn: () => void): void {
    if (this.#since !== null || !this.#looked) {
      this.#looked = true;
      return this.#immediately(() => {
        this.#sleep();
        turn();
      });
    }
    const timer = setTimeout(() => {
      this.#later.delete(timer);
      turn();
    }, this.#slow > 0 ? SLOW_LOOK : IDLE_LOOK);
    this.#later.set(timer, turn);
  }

  #sleep(): void {
    if (this.#since === null) return;
    const sleep = this.#due.sleep(performance.now() - this.#since, this.#looks++);
    if (sleep > 0) Atomics.wait(this.#cell, 0, 0, sleep);
  }

  /** Somebody waits now for what the next turn may bring. */
  #hurry(): void {
    for (const [timer, turn] of [...this.#later]) {
      clearTimeout(timer);
      this.#later.delete(timer);
      this.take(turn);
    }
  }
}

/** Foretells how long a result will be waited for, in milliseconds, from how long the last ones were. */
export class DueTime {
  /** Waits of which it is known when they ended, since a look before found nothing. */
  #waits: number[] = [];
  #due = 0;

  /** How long to sleep after `elapsed` and so many looks: until the result is due, then a little longer each time. */
  sleep(elapsed: number, looks: number): number {
    if (elapsed < this.#due) return this.#due - elapsed;
    return looks === 0 ? 0 : Math.min(1, Math.max(0.02, elapsed / 32));
  }

  /**
   * A result was there after `elapsed` and so many looks. One that the first look finds may have been there for long:
   * the sleep before it is halved until a look comes too early. Taken for the wait itself, it would hardly ever get
   * shorter, and a thread that encodes for longer than the GPU works would sleep a millisecond each step for nothing.
   */
  waited(elapsed: number, looks: number): void {
    if (looks <= 1) {
      this.#waits = [];
      this.#due = this.#due < SHORTEST ? 0 : this.#due / 2;
      return;
    }
    this.#waits = [...this.#waits.slice(1 - REMEMBERED), elapsed];
    this.#due = Math.min(...this.#waits) * EARLY;
  }
}

/** Milliseconds between looks at what is awaited `slowly`. */
const SLOW_LOOK = 1;
/**
 * The same where nobody says that they wait: buffers that are on their way back to be written again are awaited so, for
 * some 30 ms after each adapter's upload, and what is asked of Dawn now and then.
 */
const IDLE_LOOK = 2;
const REMEMBERED = 8;
const EARLY = 0.9;
/** Sleeps take about this much longer than they are asked to. */
const SHORTEST = 0.05;
/** A collection takes some milliseconds, whatever there is to collect. */
const READS_A_COLLECTION = 256;

declare global {
  /** There where V8 runs with `--expose-gc`. */
  var gc: (() => void) | undefined;
}

/** The pace of this thread's Dawn: what asks for `setImmediate` gets its turn by it. */
export function paceDawn(): DawnPace {
  const immediately = globalThis.setImmediate;
  const pace = new DawnPace((turn) => immediately(turn));
  const paced = (turn: (...args: unknown[]) => void, ...args: unknown[]) =>
    pace.take(() => turn(...args));
  Object.assign(globalThis, { setImmediate: paced });
  return pace;
}
