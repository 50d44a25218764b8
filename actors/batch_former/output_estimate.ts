/** Weight of the newest sequence: the last 32 or so count. */
const NEW = 1 / 32;
/** Before anything is known. */
const FIRST = 1 / 4;

/**
 * Which part of the output that sequences may take they do take, learnt from those that ended: of all their tokens
 * together, since pages are counted in tokens, and one that may take a single one always takes all.
 */
export class OutputEstimate {
  #made = 0;
  /** 0: none has ended. */
  #allowed = 0;

  /** `learns` false: all of it, always. */
  constructor(readonly learns: boolean) {}

  /** 0 to 1. */
  get share(): number {
    if (!this.learns) return 1;
    return this.#allowed === 0 ? FIRST : this.#made / this.#allowed;
  }

  /** A sequence ended after `made` of the tokens that it was `allowed`. */
  add(made: number, allowed: number): void {
    if (this.#allowed === 0) [this.#made, this.#allowed] = [FIRST * allowed, allowed];
    this.#made += NEW * (made - this.#made);
    this.#allowed += NEW * (allowed - this.#allowed);
  }
}
