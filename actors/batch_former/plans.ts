import type { Grant, MemoryUsage, Planned, Residency } from "../memory_manager/protocol.ts";
import type { SequenceState } from "./sequence_state.ts";
import { UNKNOWN_MEMORY } from "./unknown_memory.ts";

interface OpenPlan {
  readonly plan: number;
  readonly asked: readonly SequenceState[];
  readonly releases: number;
}

export interface Answer {
  readonly state: SequenceState;
  readonly grant: Grant;
}

/** What memory was asked, one plan at a time, and what it said of itself last. */
export class Plans {
  #open: OpenPlan | null = null;
  #asked = 0;
  #usage = UNKNOWN_MEMORY.usage;
  #residency = UNKNOWN_MEMORY.residency;
  #releases = 0;

  /** Those that the open plan asks for; null where none is open. */
  get asked(): readonly SequenceState[] | null {
    return this.#open?.asked ?? null;
  }

  get usage(): MemoryUsage {
    return this.#usage;
  }

  get residency(): Residency {
    return this.#residency;
  }

  /** How many releases memory knew of then. */
  get releases(): number {
    return this.#releases;
  }

  /** Opens a plan after so many releases; its number. */
  ask(asked: readonly SequenceState[], releases: number): number {
    for (const state of asked) state.holds++;
    this.#open = { plan: ++this.#asked, asked, releases };
    return this.#asked;
  }

  /** @throws {Error} unless it is the open plan that is answered, for each sequence it asks for. */
  close({ plan, grants, usage, residency }: Planned): Answer[] {
    if (this.#open?.plan !== plan) {
      throw new Error(`Cannot use plan: ${this.#open?.plan} is open, received ${plan}`);
    }
    const { asked, releases } = this.#open;
    this.#open = null;
    [this.#usage, this.#residency, this.#releases] = [usage, residency, releases];
    return asked.map((state, index) => {
      const grant = grants[index];
      if (grant?.request !== state.request) {
        throw new Error(`Cannot use plan ${plan}: no answer for ${state.request}`);
      }
      state.holds--;
      return { state, grant };
    });
  }
}
