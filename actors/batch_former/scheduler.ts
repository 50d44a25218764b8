import { BLOCK_TOKENS } from "../../models/adapter_image.ts";
import type { StepSeconds } from "../executor/protocol.ts";
import type * as Executor from "../executor/protocol.ts";
import type * as MemoryManager from "../memory_manager/protocol.ts";
import { POLICY_DEFAULTS } from "../policy_options.ts";
import type { EngineLoad } from "../request_router/protocol.ts";
import { Admissions } from "./admissions.ts";
import type { Effects } from "./effects.ts";
import { Flights } from "./flights.ts";
import { formBatch } from "./form_batch.ts";
import { OutputEstimate } from "./output_estimate.ts";
import { Plans } from "./plans.ts";
import { chooseHolder, chooseVictims, type Starved } from "./preemption.ts";
import type { Command, Sequence } from "./protocol.ts";
import { Roster } from "./roster.ts";
import { checkLimits, type SchedulerLimits } from "./scheduler_limits.ts";
import { SequenceState } from "./sequence_state.ts";
import { addSeconds } from "./step_seconds.ts";
import { wantOf } from "./wants.ts";

/** One step runs while the next one waits at the executor. */
const STEPS_IN_FLIGHT = 2;
/** How often memory is asked what it has where nothing runs. */
const REST_MS = 1000;
/** Steps for which a sequence may do without credit while others wait for its place. */
const PATIENCE = 32;

/** Decides which sequences run: asks memory on their behalf, forms steps of those it could serve. */
export class Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #roster: Roster;
  readonly #admissions: Admissions;
  readonly #flights = new Flights();
  readonly #estimate: OutputEstimate;
  readonly #plans = new Plans();
  /** Something happened since the last plan that may make another one succeed. */
  #changed = false;
  #arrivals = 0;
  #plannedAt = -Infinity;
  /** Nothing ran in a while, in which adapters may have come and gone. */
  #resting = false;
  /** Milliseconds, as of the last message. */
  #now = 0;
  readonly #clock = () => this.#now;
  #steps = 0;
  #stepSeconds: StepSeconds = { encode: 0, gpu: 0, read: 0 };

  /** @throws {RangeError} when the limits do not let every running sequence have a token. */
  constructor(limits: SchedulerLimits) {
    checkLimits(limits);
    const { maxRunning, maxBatchTokens } = limits;
    this.#limits = limits;
    this.#estimate = new OutputEstimate(limits.learnsOutput ?? false);
    this.#roster = new Roster(maxRunning, this.#clock);
    const policy = limits.policy ?? POLICY_DEFAULTS;
    this.#admissions = new Admissions(this.#roster, policy, maxBatchTokens);
  }

  /** What is to be sent since the last call. */
  takeEffects(): Effects {
    return this.#roster.takeEffects();
  }

  /** No step runs and no plan is open: what is left waits for the outside. */
  get idle(): boolean {
    return this.#flights.count === 0 && this.#plans.asked === null;
  }

  get load(): EngineLoad {
    const { running, queue, preemptions } = this.#roster;
    const [waiting, steps, stepSeconds] = [queue.length, this.#steps, this.#stepSeconds];
    const { prefixQueries, prefixHits, sheds } = this.#roster;
    const { usage, residency } = this.#plans;
    const load = { running: running.length, waiting, ...usage, residency };
    return { ...load, preemptions, sheds, steps, stepSeconds, prefixQueries, prefixHits };
  }

  /**
   * `now` in milliseconds of a clock that never goes back.
   * @throws {Error} when a step failed or an answer makes no sense: the engine must start anew.
   */
  handle(command: Command, now: number): void {
    this.#now = now;
    switch (command.kind) {
      case "submit":
        this.#submit(command.sequence);
        break;
      case "cancel":
        this.#learn(this.#roster.get(command.request));
        this.#roster.end(command.request);
        break;
      case "extend_credit":
        this.#roster.get(command.request)?.extendCredit(command.tokens);
        break;
      case "tick":
        // The plan that follows looks who has waited for too long, and at rest what memory has by now.
        if (this.idle && now - this.#plannedAt >= REST_MS) this.#changed = this.#resting = true;
        return;
      case "planned":
        return this.#planned(command);
      case "adapter_resident":
        for (const state of this.#roster.users(command.adapter)) state.awaitsAdapter = false;
        break;
      case "adapter_arrived":
        for (const state of this.#roster.running) state.arriving.delete(command.adapter);
        break;
      case "adapter_unavailable":
        for (const state of this.#roster.users(command.adapter)) {
          this.#roster.fail(state, command.error);
        }
        break;
      case "stepped":
        this.#stepped(command);
        break;
      case "step_failed":
        throw new Error(`Cannot run step ${command.step}: ${command.error}`);
      default:
        command satisfies never;
    }
    this.#changed = true;
  }

  /** Asks memory for the next step, unless two are in flight, an answer is due, or nothing could run. */
  plan(now: number): void {
    this.#now = now;
    if (this.#admissions.shed(now)) this.#changed = true;
    if (this.#plans.asked || this.#flights.count >= STEPS_IN_FLIGHT || !this.#changed) return;
    this.#changed = false;
    this.#plannedAt = now;
    this.#parkHolder();
    const { picks: admissions, headless, upcoming } = this.#admissions.draw(now);
    const running = this.#roster.running.filter((state) => state.ready > 0);
    const asked = [...running, ...admissions];
    // An empty plan at rest tells how much is free after the last release.
    const refresh = this.#flights.count === 0 && (this.#usageIsOld || this.#resting);
    this.#resting = false;
    if (asked.length === 0 && !refresh) return;
    const plan = this.#plans.ask(asked, this.#roster.releases);
    const spareTokens = running.length * BLOCK_TOKENS;
    const { share } = this.#estimate;
    const wants = asked.map((state) => wantOf(state, spareTokens, share, headless.has(state)));
    this.#roster.effects.memory.push({ kind: "plan", plan, wants, upcoming });
  }

  /** @throws {Error} unless each sequence and slot is in one place and the counts add up. */
  checkIntegrity(): void {
    const holds = new Map<SequenceState, number>();
    for (const state of [...this.#flights.states(), ...this.#plans.asked ?? []]) {
      holds.set(state, (holds.get(state) ?? 0) + 1);
    }
    this.#roster.checkIntegrity(holds);
  }

  /** Something was released that memory did not know of when it last said what it has. */
  get #usageIsOld(): boolean {
    return this.#roster.releases !== this.#plans.releases;
  }

  #submit(sequence: Sequence): void {
    const { id: request, prompt, maxTokens } = sequence;
    if (this.#roster.get(request)) {
      throw new RangeError(`Cannot submit sequence: its id is in use, received ${request}`);
    }
    const state = new SequenceState(sequence, this.#arrivals++, this.#clock);
    if (prompt.length === 0 || maxTokens < 1) {
      const error = `Cannot run sequence: prompt and maxTokens must be at least 1 token, ` +
        `received ${prompt.length} and ${maxTokens}`;
      this.#roster.report(request, { kind: "failed", error });
    } else if (state.end) this.#roster.report(request, state.end);
    else this.#admissions.add(state, this.#now);
  }

  /** Turns grants into a step, and finds pages for running sequences that got none. */
  #planned(planned: MemoryManager.Planned): void {
    const answers = this.#plans.close(planned);
    const queued = answers.map(({ state }) => state).filter(({ phase }) => phase === "queued");
    const blocked = new Set(queued.filter((state) => state.blockedSince !== null));
    const able: SequenceState[] = [];
    const starved: Starved<SequenceState>[] = [];
    for (const { state, grant } of answers) {
      this.#take(state, grant);
      this.#roster.settle(state);
      if (state.slot === null || state.phase === "leaving") continue;
      if (grant.kind === "granted") able.push(state);
      if (grant.kind === "exhausted") starved.push({ state, grant });
    }
    this.#formStep(able.sort((a, b) => this.#admissions.rank(a) - this.#admissions.rank(b)));
    if (starved.length > 0) this.#feed(starved);
    // An answer that is news makes room to ask for others; and with nothing under way no event will
    // come, so the next plan must take from those who hold.
    const still = queued.filter((state) =>
      blocked.has(state) && state.phase === "queued" && state.blockedSince !== null
    );
    const stuck = this.idle && still.some((state) => state.shortOfPages) &&
      this.#parkable().some((state) => state.phase === "holding");
    if (still.length < queued.length || stuck || this.#usageIsOld) this.#changed = true;
  }

  #take(state: SequenceState, grant: MemoryManager.Grant): void {
    switch (grant.kind) {
      case "granted":
        state.takePages(grant.newPages, grant.cached);
        state.arriving = new Set(grant.arriving);
        if (state.phase === "queued") {
          state.usesHead = grant.adapters.some(({ headPage }) => headPage !== null);
          this.#admissions.admit(state, grant.adapters, this.#now);
        }
        break;
      case "waiting":
        state.awaitsAdapter = true;
        break;
      case "exhausted":
      case "crowded":
        if (state.phase !== "queued") break;
        state.blockedSince ??= this.#now;
        state.crowded = grant.kind === "crowded";
        state.headShort = grant.kind === "exhausted" && grant.pool === "head";
        break;
      case "refused":
        // A token in flight may yet end it in good order.
        if (state.holds === 0) this.#roster.fail(state, grant.error);
        break;
      default:
        grant satisfies never;
    }
  }

  #formStep(candidates: readonly SequenceState[]): void {
    const { maxBatchTokens, maxLogitRows } = this.#limits;
    const picks = formBatch(candidates, { tokens: maxBatchTokens, logitRows: maxLogitRows });
    if (picks.length === 0) return;
    const rows = picks.map(({ candidate, tokens }) => ({
      state: candidate,
      row: candidate.nextRow(tokens),
    }));
    this.#roster.effects.executor.push(this.#flights.depart(rows));
    this.#changed = true;
  }

  #feed(starved: readonly Starved<SequenceState>[]): void {
    // Pages came back while the plan was open, or will when an upload that nobody needs ends: ask again first.
    if (this.#usageIsOld || this.#plans.residency.arrivingPages > 0) return;
    const { running } = this.#roster;
    const victims = chooseVictims(running, starved, (state) => this.#admissions.rank(state));
    for (const victim of victims) this.#roster.preempt(victim);
  }

  #stepped(stepped: Executor.Stepped): void {
    const landed = this.#flights.land(stepped);
    this.#steps++;
    if (stepped.seconds) this.#stepSeconds = addSeconds(this.#stepSeconds, stepped.seconds);
    for (const { state, row, result } of landed) {
      const output = state.takeResult(row, result);
      if (output) {
        this.#admissions.served(state, output.tokens.length);
        this.#roster.effects.outputs.push(output);
        if (output.end) this.#learn(state);
      }
      if (state.phase === "holding") state.heldSince = this.#steps;
      this.#roster.settle(state);
    }
  }

  /** A sequence is about to end, by itself, at a stop string or for want of a reader. */
  #learn(state: SequenceState | undefined): void {
    const made = state?.made ?? 0;
    if (state && made > 0) this.#estimate.add(made, state.maxTokens);
  }

  /** Sends a sequence without credit back to the queue where others have long waited for its slot or pages. */
  #parkHolder(): void {
    const able = this.#parkable();
    const stuck = this.#flights.count === 0 &&
      !this.#roster.running.some((state) => state.ready > 0);
    const holder = chooseHolder(able, stuck ? Infinity : this.#steps - PATIENCE);
    if (holder) this.#roster.preempt(holder);
  }

  /** Those who have what somebody in the queue lacks: where that is the head pool alone, only those who use it. */
  #parkable(): readonly SequenceState[] {
    const { running, queue, freeSlots } = this.#roster;
    let headShort = false;
    for (const state of queue) {
      if (!state.admissible) continue;
      if (freeSlots === 0) return running;
      if (!state.shortOfPages || this.#usageIsOld) continue;
      if (!state.headShort) return running;
      headShort = true;
    }
    return headShort ? running.filter(({ usesHead }) => usesHead) : [];
  }
}
