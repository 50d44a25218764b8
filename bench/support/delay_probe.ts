import { percentile } from "./percentile.ts";

/** How late this thread's event loop ran what was due, in milliseconds. */
export interface LoopDelay {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
  readonly samples: number;
}

const PERIOD_MS = 5;

/**
 * Asks for a timer every 5 ms and sees how late it comes. A stall that swallows several periods counts once for each,
 * as events that fell due within it would have met it: a single sample would hide how much of the time it took.
 */
export class DelayProbe {
  #late: number[] = [];
  #due = performance.now() + PERIOD_MS;

  constructor() {
    this.#next();
  }

  /** The delays since the last call. */
  take(): LoopDelay {
    const late = Float64Array.from(this.#late).sort();
    this.#late = [];
    const [p50, p99, max] = [0.5, 0.99, 1].map((share) => percentile(late, share));
    return { p50: p50 ?? NaN, p99: p99 ?? NaN, max: max ?? NaN, samples: late.length };
  }

  #next(): void {
    setTimeout(() => {
      const now = performance.now();
      for (let late = now - this.#due; late > 0; late -= PERIOD_MS) this.#late.push(late);
      this.#due = now + PERIOD_MS;
      this.#next();
    }, PERIOD_MS);
  }
}
