/** How many restarts within a period are bad luck; more are a fault that restarting does not mend. */
export class RestartTolerance {
  readonly restarts: number;
  readonly periodMs: number;
  #recent: number[] = [];

  constructor(options: { readonly restarts: number; readonly periodMs: number }) {
    this.restarts = options.restarts;
    this.periodMs = options.periodMs;
  }

  /** Restarts within the last period. */
  get recent(): number {
    return this.#recent.length;
  }

  /** Whether a restart now is within the tolerance; it then counts. */
  allow(nowMs: number): boolean {
    this.#recent = this.#recent.filter((at) => nowMs - at < this.periodMs);
    if (this.#recent.length >= this.restarts) return false;
    this.#recent.push(nowMs);
    return true;
  }
}
