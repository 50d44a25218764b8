import type { AdapterId, PageId, SlotId } from "../../memory/ids.ts";
import type { Prefix, Written } from "../../memory/prefix.ts";
import { BLOCK_TOKENS } from "../../models/adapter_image.ts";
import type { Row, SteppedRow } from "../executor/protocol.ts";
import { FirstTokenClock } from "./first_token_clock.ts";
import { PromptReport } from "./prompt_report.ts";
import type { Output, OutputEnd, Sequence } from "./protocol.ts";
import { SequenceJob } from "./sequence_job.ts";

/** Numbers that broke are its model's or its adapter's: nobody else's sequence ends for them. */
const NOTHING_TO_DRAW: OutputEnd = {
  kind: "failed",
  error: "Cannot sample: expected finite logits, received none",
};

/**
 * ```
 * queued -> prefilling -> decoding <-> holding (no credit)
 *    ^          |            |           |
 *    +----------+--leaving---+-----------+   preempted: back to the queue; ended: gone
 * ```
 * A leaving sequence keeps slot and pages until nothing that is under way names it any more.
 */
export type Phase = "queued" | "prefilling" | "decoding" | "holding" | "leaving";

/** One sequence between submission and end: what is known, what is computed, what is in flight. */
export class SequenceState extends SequenceJob {
  /** Steps in flight, and the open plan, that name this sequence. */
  holds = 0;
  /** Since when it has not fitted; null: it was not asked for, or has pages. */
  blockedSince: number | null = null;
  /** It has not fitted into host memory, which takes nobody's pages. */
  crowded = false;
  /** It has not fitted into the head pool, where only some adapters lie. */
  headShort = false;
  /** Adapters of it have pages in the head pool. */
  usesHead = false;
  probedIn = 0;
  /** Granted, but still being uploaded: it takes part in no step before. */
  arriving = new Set<AdapterId>();
  /** Step count at which it ran out of credit. */
  heldSince = 0;
  /** Pages and pins are held for it. */
  reserved = false;
  /** Pages of its block table. */
  pages = 0;

  #awaitsAdapter = false;
  /** null: an earlier engine made the first token. */
  readonly #clock: FirstTokenClock | null;
  #slot: SlotId | null = null;
  /** Prompt and generated tokens as far as the host knows them. */
  readonly #tokens: number[];
  /** Positions whose KV is there, or is made by a step in flight. */
  #computed = 0;
  /** Sampled tokens in flight. */
  #pending = 0;
  #credit: number;
  readonly #report: PromptReport;
  #newPages: PageId[] = [];
  /** Tokens of full blocks whose KV others were told of, or gave to it. */
  #published = 0;
  /** Prompt tokens that it found computed at its first admission; null before. */
  #cached: number | null = null;
  #cachedTold = false;
  #leaving: "ended" | "preempted" | null = null;

  /** `now` in milliseconds. */
  constructor(sequence: Sequence, arrival: number, now: () => number) {
    super(sequence, arrival, now() - (sequence.waitedMs ?? 0));
    const { prompt, generated, credit, promptLogprobs } = sequence;
    this.#tokens = [...prompt, ...generated];
    this.#credit = generated.length + credit;
    this.#clock = generated.length === 0 ? new FirstTokenClock(now) : null;
    // Before a sequence's first token all of its prompt was reported: a replay need not do it again.
    this.#report = new PromptReport(prompt, promptLogprobs && generated.length === 0);
  }

  get begun(): boolean {
    return this.#cached !== null || this.sequence.generated.length > 0;
  }

  get slot(): SlotId | null {
    return this.#slot;
  }

  get phase(): Phase {
    if (this.#leaving) return "leaving";
    if (this.#slot === null) return "queued";
    if (this.arriving.size > 0 || this.#computed < this.#tokens.length - 1) return "prefilling";
    return this.ready === 0 && this.#pending === 0 ? "holding" : "decoding";
  }

  /** How many tokens were made so far. */
  get made(): number {
    return this.#tokens.length - this.sequence.prompt.length;
  }

  /** Tokens made so far, those of earlier incarnations included. */
  get generated(): number[] {
    return this.#tokens.slice(this.sequence.prompt.length);
  }

  /** There was no room for it among the pages. */
  get shortOfPages(): boolean {
    return this.blockedSince !== null && !this.crowded;
  }

  get preempted(): boolean {
    return this.#leaving === "preempted";
  }

  /** Its end, where it is known from what is known of it already; null where it is to go on. */
  get end(): OutputEnd | null {
    const { made } = this;
    if (made === 0) return null;
    const last = this.#tokens[this.#tokens.length - 1] ?? -1;
    if (this.sequence.stopTokenIds.includes(last)) return { kind: "finished", reason: "stop" };
    return made >= this.sequence.maxTokens ? { kind: "finished", reason: "length" } : null;
  }

  get awaitsAdapter(): boolean {
    return this.#awaitsAdapter;
  }

  set awaitsAdapter(awaits: boolean) {
    this.#awaitsAdapter = awaits;
    this.#clock?.turnTo(awaits ? "adapterMs" : "queueMs");
  }

  get admissible(): boolean {
    return !this.awaitsAdapter && this.#maySample;
  }

  /** Tokens that could be computed in the next step. */
  get ready(): number {
    if (this.#leaving || (this.#slot !== null && this.arriving.size > 0)) return 0;
    const known = this.#tokens.length - this.#computed;
    if (known > 0) return known - (this.#maySample ? 0 : 1);
    return this.#maySample ? 1 : 0;
  }

  /** Tokens whose KV must have room for the next step; of a newcomer, for its first new token too. */
  get wantedTokens(): number {
    if (this.#slot !== null) return Math.max(this.#tokens.length, this.#computed + 1);
    return Math.max(this.#tokens.length, Math.min(this.#tokens.length + 1, this.longestTokens));
  }

  /** What its KV depends on, and which of it may be found computed: nothing where the prompt is reported. */
  get prefix(): Prefix {
    const adapters = this.adapters.map((route) => route.adapter);
    return { space: this.space, adapters, tokens: this.reportsPrompt ? [] : this.#tokens };
  }

  get cached(): number | null {
    return this.#cached;
  }

  get rebuildTokens(): number {
    return this.#tokens.length;
  }

  get reportsPrompt(): boolean {
    return !this.#report.complete;
  }

  extendCredit(tokens: number): void {
    this.#credit += tokens;
  }

  admit(slot: SlotId): void {
    this.#slot = slot;
    // What keeps an admitted sequence from its first row is its adapter's upload.
    if (this.sequence.adapters.length > 0) this.#clock?.turnTo("adapterMs");
    this.#cached ??= Math.min(this.#computed, this.sequence.prompt.length);
    this.blockedSince = null;
    this.crowded = false;
  }

  /** The first `cached` tokens of a newcomer's KV are in its pages already. */
  takePages(pages: readonly PageId[], cached: number): void {
    this.reserved = true;
    if (this.#slot === null) {
      this.#computed = cached;
      this.#published = cached;
    }
    this.pages += pages.length;
    this.#newPages.push(...pages);
  }

  /** Blocks filled since the last call by rows formed so far, whose tokens are known; null where there are none. */
  takeWritten(): Written | null {
    const from = this.#published;
    const known = Math.min(this.#computed, this.#tokens.length);
    const end = known - known % BLOCK_TOKENS;
    if (end <= from) return null;
    this.#published = end;
    return { from, tokens: this.#tokens.slice(from, end) };
  }

  /** The sequence's next `count` tokens as a row of the step being formed. */
  nextRow(count: number): Row {
    if (this.#slot === null || count < 1 || count > this.ready) {
      throw new RangeError(
        `Cannot form row: ${this.request} is ${this.phase} with ${this.ready} tokens ready, received ${count}`,
      );
    }
    this.#clock?.turnTo("prefillMs");
    const position = this.#computed;
    const known = this.#tokens.length;
    const tokens = position < known ? this.#tokens.slice(position, position + count) : null;
    const sample = position + count >= known;
    const newPages = this.#newPages;
    this.#newPages = [];
    this.#computed += count;
    if (sample) this.#pending++;
    this.holds++;
    const promptTargets = this.#report.targets(position, count);
    return { slot: this.#slot, tokens, position, newPages, sample, promptTargets };
  }

  /** What a row's result adds to the output; null where nothing (more) is to be said. */
  takeResult(row: Row, result: SteppedRow): Output | null {
    this.holds--;
    if (row.sample) this.#pending--;
    if (this.#leaving === "ended") return null;
    const promptLogprobs = this.#report.take(row, result);
    if (!row.sample) return promptLogprobs.length > 0 ? this.#output([], promptLogprobs) : null;
    const { token, logprobs } = result;
    if (token === null) return this.#output([], promptLogprobs, NOTHING_TO_DRAW);
    this.#tokens.push(token);
    return this.#output([{ token, logprobs }], promptLogprobs);
  }

  /** Takes no further part; a preempted sequence comes back, unless it ends on what is in flight. */
  leave(why: "ended" | "preempted"): void {
    if (this.#leaving !== "ended") this.#leaving = why;
  }

  /** Gives up what it held, once nothing under way names it; the caller has freed it. */
  clear(): void {
    this.#slot = null;
    this.#computed = 0;
    this.#published = 0;
    this.#newPages = [];
    this.arriving = new Set();
    this.reserved = false;
    this.pages = 0;
  }

  /** Back in the queue after a preemption: memory is short as it is. */
  requeue(now: number): void {
    this.#leaving = null;
    this.#clock?.turnTo("queueMs");
    this.blockedSince = now;
    this.crowded = this.headShort = false;
  }

  /** @throws {Error} when its counters contradict each other. */
  checkIntegrity(): void {
    if (this.#published > this.#computed) {
      throw new Error(`Cannot trust sequence ${this.request}: it published what is not computed`);
    }
    if (this.#leaving === "ended") return; // its last results are dropped, not counted
    const known = this.#tokens.length;
    const decoding = this.#pending > 0 ? this.#computed === known + this.#pending - 1 : true;
    const within = known + this.#pending <= this.sequence.prompt.length + this.#credit;
    const bounded = known + this.#pending <= this.sequence.prompt.length + this.sequence.maxTokens;
    const held = this.#pending <= this.holds && this.#computed <= known + this.#pending;
    if (decoding && within && bounded && held) return;
    throw new Error(
      `Cannot trust sequence ${this.request}: ${known} known, ${this.#computed} computed, ` +
        `${this.#pending} pending, ${this.holds} holds, ${this.#credit} credit`,
    );
  }

  get #maySample(): boolean {
    const made = this.made + this.#pending;
    return made < this.sequence.maxTokens && made < this.#credit;
  }

  #output(
    tokens: Output["tokens"],
    promptLogprobs: Output["promptLogprobs"],
    failure: OutputEnd | null = null,
  ): Output {
    const end = tokens.length > 0 ? this.end : failure;
    if (end) this.leave("ended");
    const times = tokens.length > 0 ? this.#clock?.stop() : null;
    const told = this.#cachedTold ? {} : { cachedTokens: this.#cached ?? 0 };
    this.#cachedTold = true;
    const { request } = this;
    return { request, tokens, promptLogprobs, end, ...(times && { times }), ...told };
  }
}
