type Waiting = keyof FirstTokenTimes;

/** Divides the time from a sequence's submission to its first token by what it waited for; it never runs again. */
export class FirstTokenClock {
  readonly #now: () => number;
  readonly #times: Record<Waiting, number> = { queueMs: 0, adapterMs: 0, prefillMs: 0 };
  #waiting: Waiting | null = "queueMs";
  #since: number;

  /** `now` in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#since = now();
  }

  /** From here on the time counts for `waiting`. */
  turnTo(waiting: Waiting): void {
    if (this.#waiting === null || this.#waiting === waiting) return;
    this.#count(waiting);
  }

  /** The first token is there: all the time until now, told once; null ever after. */
  stop(): FirstTokenTimes | null {
    if (this.#waiting === null) return null;
    this.#count(null);
    return { ...this.#times };
  }

  #count(next: Waiting | null): void {
    const now = this.#now();
    if (this.#waiting !== null) this.#times[this.#waiting] += now - this.#since;
    [this.#waiting, this.#since] = [next, now];
  }
}
import type { FirstTokenTimes } from "./protocol.ts";
