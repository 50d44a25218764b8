import type { Row, SteppedRow } from "../executor/protocol.ts";
import type { TokenLogprobs } from "../sampling.ts";

/** The log probabilities of a prompt's tokens: which are still to be asked for, and told. */
export class PromptReport {
  readonly #prompt: readonly number[];
  /** Prompt tokens reported so far. */
  #reported: number;

  /** `wanted`: whether they are asked for at all. */
  constructor(prompt: readonly number[], wanted: boolean) {
    this.#prompt = prompt;
    this.#reported = wanted ? 0 : prompt.length;
  }

  get complete(): boolean {
    return this.#reported >= this.#prompt.length;
  }

  /** The following prompt token of each position, except of those reported before a preemption. */
  targets(position: number, count: number): Row["promptTargets"] {
    if (this.complete || position + 1 >= this.#prompt.length) return null;
    return Array.from({ length: count }, (_, i) => {
      const target = position + i + 1;
      return target < this.#reported ? null : this.#prompt[target] ?? null;
    });
  }

  /**
   * What a row's result adds to the report; the prompt's first token has none.
   * @throws {Error} unless the result has one for each that was asked for.
   */
  take(row: Row, result: SteppedRow): (TokenLogprobs | null)[] {
    const wanted = row.promptTargets?.filter((target) => target !== null).length ?? 0;
    if (result.promptLogprobs.length !== wanted) {
      throw new Error(
        `Cannot read step: slot ${row.slot} wants ${wanted} prompt logprobs, ` +
          `received ${result.promptLogprobs.length}`,
      );
    }
    const first = this.#reported === 0 ? [null] : [];
    const known = [...first, ...result.promptLogprobs];
    this.#reported += known.length;
    return known;
  }
}
