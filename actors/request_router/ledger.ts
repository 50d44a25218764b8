import type { Epoch, RequestId } from "../../memory/ids.ts";
import type { Output, Sequence } from "../batch_former/protocol.ts";

// Invariants, which checkIntegrity() checks:
// - a request is here from admit() to the one end() that says true for it; there are never more than `capacity`
// - it is preparing -> queued -> running <-> awaiting_engine; only a request that is preparing has no plan
// - it is running only while an engine is there, and then that engine of this epoch has been told of it
// - consumed <= generated tokens <= consumed + window, and generated tokens <= maxTokens

/** All of a sequence that does not change from one engine to the next. */
export type Plan = Omit<Sequence, "generated" | "credit" | "waitedMs">;

export type LedgerState = "preparing" | "queued" | "running" | "awaiting_engine";

/** What an engine's output means for a request. */
export type Progress =
  /** Of an engine that is gone, or for a request that has ended: to be dropped. */
  | { readonly kind: "stale" }
  /** What is new; after a replay the prompt's part that was already known is left out. */
  | { readonly kind: "news"; readonly output: Output }
  /** The engine broke the protocol. */
  | { readonly kind: "violation"; readonly error: string };

interface Entry {
  readonly id: RequestId;
  /** Milliseconds of the ledger's clock. */
  readonly admittedAt: number;
  state: LedgerState;
  plan: Plan | null;
  readonly generated: number[];
  /** Generated tokens that the reader has taken. */
  consumed: number;
  /** Prompt logprobs known over all engines, and those that the present one has sent. */
  promptKnown: number;
  promptSeen: number;
}

/** Every admitted request, and all it takes to run it again on another engine. */
export class Ledger {
  readonly #capacity: number;
  readonly #window: number;
  readonly #entries = new Map<RequestId, Entry>();
  #epoch: Epoch | null = null;
  #lastEpoch = -Infinity;
  #admitted = 0;
  #ended = 0;

  readonly #now: () => number;

  /** `window` is how many generated tokens of a request may wait for its reader; `now` in milliseconds. */
  constructor(
    options: { readonly capacity: number; readonly window: number },
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#capacity = options.capacity;
    this.#window = options.window;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The engine that runs the requests; null while there is none. */
  get epoch(): Epoch | null {
    return this.#epoch;
  }

  state(id: RequestId): LedgerState | null {
    return this.#entries.get(id)?.state ?? null;
  }

  /** From here on the request is owed exactly one end. */
  admit(id: RequestId): void {
    if (this.#entries.has(id)) {
      throw new RangeError(`Cannot admit request: expected a new id, received ${id}`);
    }
    if (this.#entries.size >= this.#capacity) {
      throw new RangeError(`Cannot admit request ${id}: the ledger is full at ${this.#capacity}`);
    }
    this.#admitted++;
    this.#entries.set(id, {
      id,
      admittedAt: this.#now(),
      state: "preparing",
      plan: null,
      generated: [],
      consumed: 0,
      promptKnown: 0,
      promptSeen: 0,
    });
  }

  /** The request is ready to run: the sequence to submit now, or null to wait for an engine (or it has ended). */
  prepare(plan: Plan): Sequence | null {
    const entry = this.#entries.get(plan.id);
    if (entry?.state !== "preparing") return null;
    entry.plan = plan;
    entry.state = "queued";
    return this.#epoch === null ? null : this.#submit(entry, plan);
  }

  /** What the engine of `epoch` made; the tokens are the ledger's from here on. */
  progress(epoch: Epoch, output: Output): Progress {
    const entry = this.#entries.get(output.request);
    if (epoch !== this.#epoch || entry?.state !== "running" || !entry.plan) {
      return { kind: "stale" };
    }
    const { plan, generated } = entry;
    const made = generated.length + output.tokens.length;
    const bound = Math.min(plan.maxTokens, entry.consumed + this.#window);
    const prompt = entry.promptSeen + output.promptLogprobs.length;
    const promptBound = plan.promptLogprobs ? plan.prompt.length : 0;
    if (made > bound || prompt > promptBound || (made === plan.maxTokens && !output.end)) {
      return {
        kind: "violation",
        error: `expected at most ${bound} tokens, ${promptBound} prompt logprobs and an end at ` +
          `${plan.maxTokens} tokens, received ${made} tokens, ${prompt} prompt logprobs and ` +
          `${output.end?.kind ?? "no end"}`,
      };
    }
    for (const { token } of output.tokens) generated.push(token);
    const promptLogprobs = output.promptLogprobs.slice(entry.promptKnown - entry.promptSeen);
    entry.promptSeen = prompt;
    entry.promptKnown = Math.max(entry.promptKnown, prompt);
    return { kind: "news", output: { ...output, promptLogprobs } };
  }

  /** The reader took tokens: how many more the engine may make; null where no engine needs to know. */
  consume(id: RequestId, tokens: number): number | null {
    const entry = this.#entries.get(id);
    if (!entry) return null;
    const credit = Math.min(tokens, entry.generated.length - entry.consumed);
    entry.consumed += credit;
    return entry.state === "running" && credit > 0 ? credit : null;
  }

  /** True the one time that it ends the request; `wasRunning` tells whether an engine must hear of it. */
  end(id: RequestId): { readonly ended: boolean; readonly wasRunning: boolean } {
    const entry = this.#entries.get(id);
    if (!entry) return { ended: false, wasRunning: false };
    this.#entries.delete(id);
    this.#ended++;
    return { ended: true, wasRunning: entry.state === "running" };
  }

  /** An engine is gone; what it ran waits for the next one. An older one's loss changes nothing. */
  engineLost(epoch: Epoch): void {
    if (epoch !== this.#epoch) return;
    this.#epoch = null;
    for (const entry of this.#entries.values()) {
      if (entry.state === "running") entry.state = "awaiting_engine";
    }
  }

  /** A new engine is there: everything to submit to it, in the order of admission. */
  replay(epoch: Epoch): Sequence[] {
    if (epoch <= this.#lastEpoch) return [];
    this.#lastEpoch = epoch;
    this.#epoch = epoch;
    const sequences: Sequence[] = [];
    for (const entry of this.#entries.values()) {
      if (!entry.plan) continue;
      const waitedMs = Math.round(this.#now() - entry.admittedAt);
      sequences.push({ ...this.#submit(entry, entry.plan), waitedMs });
    }
    return sequences;
  }

  ids(): RequestId[] {
    return [...this.#entries.keys()];
  }

  /** Throws where an invariant does not hold. */
  checkIntegrity(): void {
    const check = (holds: boolean, what: string) => {
      if (!holds) throw new Error(`Cannot trust the ledger: ${what}`);
    };
    check(this.#admitted === this.#ended + this.size, "a request was lost or ended twice");
    check(this.size <= this.#capacity, `it holds ${this.size} of ${this.#capacity} requests`);
    for (
      const { id, state, plan, generated, consumed, promptKnown, promptSeen } of this.#entries
        .values()
    ) {
      check((state === "preparing") === (plan === null), `${id} is ${state}`);
      check(
        state === "preparing" || (state === "running") === (this.#epoch !== null),
        `${id} is ${state} with engine ${this.#epoch}`,
      );
      const waiting = generated.length - consumed;
      check(waiting >= 0 && waiting <= this.#window, `${id} has ${waiting} tokens unread`);
      check(generated.length <= (plan?.maxTokens ?? 0), `${id} has ${generated.length} tokens`);
      check(promptSeen <= promptKnown, `${id} knows ${promptKnown} prompt logprobs`);
      check(
        promptKnown <= (plan?.prompt.length ?? 0),
        `${id} knows ${promptKnown} prompt logprobs`,
      );
    }
  }

  #submit(entry: Entry, plan: Plan): Sequence {
    entry.state = "running";
    entry.promptSeen = 0;
    const promptLogprobs = plan.promptLogprobs && entry.promptKnown < plan.prompt.length;
    return {
      ...plan,
      promptLogprobs,
      generated: [...entry.generated],
      credit: this.#window - (entry.generated.length - entry.consumed),
    };
  }
}
