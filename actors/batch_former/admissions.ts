import type { AdapterId } from "../../memory/ids.ts";
import type { ResidentAdapter } from "../executor/protocol.ts";
import type { PolicyOptions } from "../policy_options.ts";
import { Drawn } from "./drawn.ts";
import { type Admissible, AdmissionPicker } from "./pick_admissions.ts";
import { makePolicy, type WholePolicy } from "./policies/compose.ts";
import type { Roster } from "./roster.ts";
import type { SequenceState } from "./sequence_state.ts";
import { upcomingAdapters } from "./upcoming_adapters.ts";

/** What to ask memory for, of the queue. */
export interface Draw extends Admissible<SequenceState> {
  /** Adapters that will be wanted next. */
  readonly upcoming: readonly AdapterId[];
}

/** Lets the policy decide about the roster's queue, and tells it what became of whom. */
export class Admissions {
  readonly #roster: Roster;
  readonly #policy: WholePolicy;
  readonly #maxBatchTokens: number;
  readonly #picker = new AdmissionPicker<SequenceState>();

  constructor(roster: Roster, policy: PolicyOptions, maxBatchTokens: number) {
    this.#roster = roster;
    this.#policy = makePolicy(policy);
    this.#maxBatchTokens = maxBatchTokens;
  }

  /** A new sequence waits. It may have been submitted long before, to another engine. */
  add(state: SequenceState, now: number): void {
    this.#policy.arrived(state, this.#roster.queue, now);
    this.#roster.add(state);
  }

  /** Draws from the queue in the policy's order as far as there is room, which memory has yet to confirm. */
  draw(now: number): Draw {
    const { queue, running, freeSlots } = this.#roster;
    const scene = { running, now };
    const admissible = queue.filter((state) => state.admissible);
    // A prompt of a lower class takes what tokens of a step are left.
    const first = admissible.reduce((low, state) => Math.min(low, this.rank(state)), Infinity);
    const ahead = running.filter((state) => state.ready <= 1 || this.rank(state) <= first);
    const demand = ahead.reduce((sum, state) => sum + state.ready, 0);
    const room = { slots: freeSlots, tokens: this.#maxBatchTokens - demand };
    const order = new Drawn(this.#policy.order(admissible, scene));
    const asked = this.#picker.pick(order, room, (state) => this.#policy.bars(state, now));
    // Those whose adapter is on its way from disk were tried before anybody else.
    const awaiting = queue.filter((state) => !state.admissible);
    return { ...asked, upcoming: upcomingAdapters(chain(awaiting, order), asked.picks) };
  }

  /** Gives a sequence that was granted its pages a place in the batch. */
  admit(state: SequenceState, adapters: readonly ResidentAdapter[], now: number): void {
    const first = state.cached === null;
    this.#roster.admit(state, adapters);
    if (!first || state.cached === null) return;
    this.#policy.admitted(state, state.promptTokens - state.cached, now);
  }

  served(state: SequenceState, tokens: number): void {
    this.#policy.served(state, tokens);
  }

  /** Ends those for whom it is too late; true where there were any. */
  shed(now: number): boolean {
    const { queue, running } = this.#roster;
    const sheds = this.#policy.shed(queue, { running, now });
    for (const { job, error } of sheds) this.#roster.shed(job, error);
    return sheds.length > 0;
  }

  /** The class: lower ones compute their prompts first, and lose their pages last. */
  rank(state: SequenceState): number {
    return this.#policy.rank(state);
  }
}

function* chain<T>(...parts: Iterable<T>[]): Iterable<T> {
  for (const part of parts) yield* part;
}
