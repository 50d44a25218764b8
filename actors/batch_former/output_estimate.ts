/** Weight of the newest sequence: the last 32 or so count. */
const NEW = 1 / 32;
/** Before anything is known. */
const FIRST = 1 / 4;

/** Which part of the output that sequences may take they do take, learnt from those that ended. */
export class OutputEstimate {
  #share: number;

  /** `learns` false: all of it, always. */
  constructor(readonly learns: boolean) {
    this.#share = learns ? FIRST : 1;
  }

  /** 0 to 1. */
  get share(): number {
    return this.#share;
  }

  /** A sequence ended after `made` of the tokens that it was `allowed`. */
  add(made: number, allowed: number): void {
    if (this.learns) this.#share += NEW * (made / allowed - this.#share);
  }
}
