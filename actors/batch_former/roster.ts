import { type AdapterId, type RequestId, type SlotId, slotId } from "../../memory/ids.ts";
import type { ResidentAdapter } from "../executor/protocol.ts";
import { Effects } from "./effects.ts";
import type { OutputEnd } from "./protocol.ts";
import type { SequenceState } from "./sequence_state.ts";

/**
 * Every sequence from its submission to its end: in the queue, running in a slot, or leaving. Says what
 * its comings and goings mean to memory, executor and client.
 */
export class Roster {
  /** What is to be said since it was last taken. */
  effects = new Effects();
  preemptions = 0;
  /** Sequences given up before they began. */
  sheds = 0;
  /** Prompt tokens of sequences admitted for the first time, and those whose KV was found. */
  prefixQueries = 0;
  prefixHits = 0;
  /** How often pages were given back. */
  releases = 0;
  readonly #slots: number;
  readonly #free: SlotId[];
  readonly #all = new Map<RequestId, SequenceState>();
  readonly #queue: SequenceState[] = [];
  readonly #running: SequenceState[] = [];
  readonly #now: () => number;

  /** `now` in milliseconds. */
  constructor(slots: number, now: () => number) {
    this.#now = now;
    this.#slots = slots;
    this.#free = Array.from({ length: slots }, (_, i) => slotId(slots - 1 - i));
  }

  /** Without a slot; oldest first. */
  get queue(): readonly SequenceState[] {
    return this.#queue;
  }

  /** With a slot, those that are leaving included; oldest first. */
  get running(): readonly SequenceState[] {
    return this.#running;
  }

  get freeSlots(): number {
    return this.#free.length;
  }

  get(request: RequestId): SequenceState | undefined {
    return this.#all.get(request);
  }

  /** Those of the queue that need this adapter. */
  users(adapter: AdapterId): SequenceState[] {
    return this.#queue.filter((state) =>
      state.sequence.adapters.some((route) => route.adapter === adapter)
    );
  }

  takeEffects(): Effects {
    const effects = this.effects;
    this.effects = new Effects();
    return effects;
  }

  add(state: SequenceState): void {
    this.#all.set(state.request, state);
    this.#queue.push(state);
  }

  /** Gives a queued sequence that was granted its pages a slot, and opens it at the executor. */
  admit(state: SequenceState, adapters: readonly ResidentAdapter[]): void {
    const slot = this.#free.pop();
    // More were asked than there are slots, since some did not fit before.
    if (slot === undefined) return this.#release(state);
    remove(this.#queue, state);
    insert(this.#running, state);
    const first = state.cached === null;
    state.admit(slot);
    if (first) {
      this.prefixQueries += state.sequence.prompt.length;
      this.prefixHits += state.cached ?? 0;
    }
    const { id: request, adapters: routes, sampling, prompt } = state.sequence;
    const residents = new Map(adapters.map((resident) => [resident.adapter, resident]));
    this.effects.executor.push({
      kind: "open",
      slot,
      request,
      sampling,
      routes: routes.map(({ adapter, weight }) => {
        const resident = residents.get(adapter);
        if (!resident) throw new Error(`Cannot open slot: no place granted, received ${adapter}`);
        return { ...resident, weight };
      }),
      prompt,
      generated: state.generated,
    });
  }

  /** Sends a running sequence back to the queue, as soon as no step in flight names it. */
  preempt(state: SequenceState): void {
    this.preemptions++;
    state.leave("preempted");
    this.settle(state);
  }

  /** Ends a sequence that can go no further; its client is told why. */
  fail(state: SequenceState, error: string): void {
    if (state.phase === "leaving") return;
    this.report(state.request, { kind: "failed", error });
    this.end(state.request);
  }

  /** Gives up a sequence that has not begun; its client is told to come again. */
  shed(state: SequenceState, error: string): void {
    this.sheds++;
    this.report(state.request, { kind: "shed", error });
    this.end(state.request);
  }

  /** Tells the end of a sequence that made nothing more. */
  report(request: RequestId, end: OutputEnd): void {
    this.effects.outputs.push({ request, tokens: [], promptLogprobs: [], end });
  }

  /** Ends a sequence without a word: its client went away, or was told. */
  end(request: RequestId): void {
    const state = this.#all.get(request);
    if (!state) return;
    if (state.phase === "queued") remove(this.#queue, state);
    state.leave("ended");
    this.settle(state);
  }

  /** Lets a leaving sequence go once no step in flight and no open plan names it. */
  settle(state: SequenceState): void {
    if (state.phase !== "leaving" || state.holds > 0) return;
    if (state.slot !== null) {
      this.effects.executor.push({ kind: "close", slot: state.slot });
      this.#free.push(state.slot);
      remove(this.#running, state);
    }
    if (state.reserved) this.#release(state);
    if (!state.preempted) return void this.#all.delete(state.request);
    state.requeue(this.#now());
    insert(this.#queue, state);
  }

  /** @throws {Error} unless each sequence and slot is in one place; `holds`: how often each is named. */
  checkIntegrity(holds: ReadonlyMap<SequenceState, number>): void {
    const slots = new Set([...this.#free, ...this.#running.map((state) => state.slot)]);
    const placed = new Set([...this.#queue, ...this.#running]);
    const whole = slots.size === this.#slots &&
      this.#free.length + this.#running.length === slots.size &&
      placed.size === this.#queue.length + this.#running.length &&
      this.#queue.every((state) => state.phase === "queued" && !state.reserved) &&
      sorted(this.#queue) && sorted(this.#running);
    if (!whole) throw new Error("Cannot trust roster: a sequence or slot is not in one place");
    for (const state of this.#all.values()) {
      const lost = !placed.has(state) && !(state.phase === "leaving" && state.holds > 0);
      if (lost || state.holds !== (holds.get(state) ?? 0)) {
        throw new Error(`Cannot trust roster: lost or miscounted, received ${state.request}`);
      }
      state.checkIntegrity();
    }
  }

  #release(state: SequenceState): void {
    const written = state.takeWritten();
    this.effects.memory.push({
      kind: "release",
      request: state.request,
      ...(written && { written }),
    });
    this.releases++;
    state.clear();
  }
}

const sorted = (states: readonly SequenceState[]): boolean =>
  states.every((state, i) => i === 0 || (states[i - 1]?.arrival ?? -1) < state.arrival);

function insert(states: SequenceState[], state: SequenceState): void {
  const index = states.findIndex((other) => other.arrival > state.arrival);
  states.splice(index < 0 ? states.length : index, 0, state);
}

function remove(states: SequenceState[], state: SequenceState): void {
  const index = states.indexOf(state);
  if (index >= 0) states.splice(index, 1);
}
