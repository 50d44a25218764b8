/**
 * How long the next step may take to arrive before the running one is read back without it. Once its read is waited
 * for, the thread hears of nothing else, and the GPU then stands still for as long as a step takes to encode. Half of
 * the shortest of the last steps loses little: the one that runs will hardly be done by then.
 */
export class Patience {
  #seconds: number[] = [];

  /** So long the result of a step was waited for, from when it had the GPU. */
  took(seconds: number): void {
    this.#seconds = [...this.#seconds.slice(1 - REMEMBERED), seconds];
  }

  get milliseconds(): number {
    const half = this.#seconds.length < REMEMBERED ? 0 : 500 * Math.min(...this.#seconds);
    return Math.min(MOST_MS, Math.max(LEAST_MS, half));
  }
}

const REMEMBERED = 4;
const LEAST_MS = 2;
/** A short step after long ones, with none to follow, is told so much later. */
const MOST_MS = 10;
