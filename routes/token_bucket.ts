/**
 * So much a minute, a minute's worth at once: full it holds `perMinute`, and it fills evenly. What is only known
 * afterwards may be taken from an empty bucket too; the debt is filled first.
 */
export class TokenBucket {
  readonly #now: () => number;
  #perMinute: number;
  #level: number;
  #at: number;

  /** `now` in milliseconds. */
  constructor(perMinute: number, now: () => number) {
    this.#now = now;
    this.#perMinute = this.#level = perMinute;
    this.#at = now();
  }

  get perMinute(): number {
    return this.#perMinute;
  }

  /** A new bound; what was taken stays taken. */
  set perMinute(perMinute: number) {
    this.#level = this.level + perMinute - this.#perMinute;
    this.#perMinute = perMinute;
  }

  /** What is in it; below 0 in debt. */
  get level(): number {
    const now = this.#now();
    const filled = this.#level + (now - this.#at) / 60_000 * this.#perMinute;
    this.#level = Math.min(this.#perMinute, filled);
    this.#at = now;
    return this.#level;
  }

  take(amount: number): void {
    this.#level = this.level - amount;
  }

  /** Milliseconds until it holds `amount`; for ever where it never can. */
  until(amount: number): number {
    const missing = amount - this.level;
    if (missing <= 0) return 0;
    return amount > this.#perMinute ? Infinity : missing / this.#perMinute * 60_000;
  }
}
