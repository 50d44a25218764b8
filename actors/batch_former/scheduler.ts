import type { AdapterId } from "../../memory/ids.ts";
import { BLOCK_TOKENS } from "../../models/adapter_image.ts";
import type * as Executor from "../executor/protocol.ts";
import type * as MemoryManager from "../memory_manager/protocol.ts";
import type { EngineLoad, StepSeconds } from "../request_router/protocol.ts";
import type { Effects } from "./effects.ts";
import { Flights } from "./flights.ts";
import { formBatch, PATIENCE, pickAdmissions } from "./policy.ts";
import { chooseHolder, chooseVictims, type Starved } from "./preemption.ts";
import type { Command, Sequence } from "./protocol.ts";
import { Roster } from "./roster.ts";
import { SequenceState } from "./sequence_state.ts";
import { UNKNOWN_MEMORY } from "./unknown_memory.ts";
import { upcomingAdapters } from "./upcoming_adapters.ts";

export interface SchedulerLimits {
  /** Sequences that hold a slot at once. */
  readonly maxRunning: number;
  readonly maxBatchTokens: number;
  /** Rows of logits of one step. */
  readonly maxLogitRows: number;
}

interface OpenPlan {
  readonly plan: number;
  readonly asked: readonly SequenceState[];
  /** The roster's count of releases when the plan was sent. */
  readonly releases: number;
}

/** One step runs while the next one waits at the executor. */
const STEPS_IN_FLIGHT = 2;

/** Decides which sequences run: asks memory on their behalf, forms steps of those it could serve. */
export class Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #roster: Roster;
  readonly #flights = new Flights();
  #open: OpenPlan | null = null;
  #usage: MemoryManager.MemoryUsage = UNKNOWN_MEMORY.usage;
  #residency: MemoryManager.Residency = UNKNOWN_MEMORY.residency;
  /** The roster's count of releases that `#usage` knows of. */
  #releasesInUsage = 0;
  /** Something happened since the last plan that may make another one succeed. */
  #changed = false;
  #arrivals = 0;
  #plans = 0;
  #steps = 0;
  #stepSeconds: StepSeconds = { encode: 0, gpu: 0, read: 0 };

  /** @throws {RangeError} when the limits do not let every running sequence have a token. */
  constructor(limits: SchedulerLimits) {
    const { maxRunning, maxBatchTokens, maxLogitRows } = limits;
    if (maxRunning < 1 || maxBatchTokens < maxRunning || maxLogitRows < maxRunning) {
      throw new RangeError(
        `Cannot schedule: maxRunning must be at least 1, maxBatchTokens and maxLogitRows at least ` +
          `maxRunning, received ${maxRunning}, ${maxBatchTokens} and ${maxLogitRows}`,
      );
    }
    this.#limits = limits;
    this.#roster = new Roster(maxRunning);
  }

  /** What is to be sent since the last call. */
  takeEffects(): Effects {
    return this.#roster.takeEffects();
  }

  /** No step runs and no plan is open: what is left waits for the outside. */
  get idle(): boolean {
    return this.#flights.count === 0 && this.#open === null;
  }

  get load(): EngineLoad {
    const { running, queue, preemptions } = this.#roster;
    const [waiting, steps, stepSeconds] = [queue.length, this.#steps, this.#stepSeconds];
    const { prefixQueries, prefixHits } = this.#roster;
    const load = { running: running.length, waiting, ...this.#usage, residency: this.#residency };
    return { ...load, preemptions, steps, stepSeconds, prefixQueries, prefixHits };
  }

  /** @throws {Error} when a step failed or an answer makes no sense: the engine must start anew. */
  handle(command: Command): void {
    switch (command.kind) {
      case "submit":
        this.#submit(command.sequence);
        break;
      case "cancel":
        this.#roster.end(command.request);
        break;
      case "extend_credit":
        this.#roster.get(command.request)?.extendCredit(command.tokens);
        break;
      case "planned":
        return this.#planned(command);
      case "adapter_resident":
        for (const state of this.#users(command.adapter)) state.awaitsAdapter = false;
        break;
      case "adapter_arrived":
        for (const state of this.#roster.running) state.arriving.delete(command.adapter);
        break;
      case "adapter_unavailable":
        for (const state of this.#users(command.adapter)) this.#roster.fail(state, command.error);
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
  plan(): void {
    if (this.#open || this.#flights.count >= STEPS_IN_FLIGHT || !this.#changed) return;
    this.#changed = false;
    this.#parkHolder();
    const running = this.#roster.running.filter((state) => state.ready > 0);
    const demand = running.reduce((sum, state) => sum + state.ready, 0);
    const admissions = pickAdmissions(this.#roster.queue, {
      slots: this.#roster.freeSlots,
      tokens: this.#limits.maxBatchTokens - demand,
    });
    const asked = [...running, ...admissions];
    // An empty plan at rest tells how much is free after the last release.
    const refresh = this.#flights.count === 0 && this.#usageIsOld;
    if (asked.length === 0 && !refresh) return;
    for (const state of asked) state.holds++;
    this.#open = { plan: ++this.#plans, asked, releases: this.#roster.releases };
    const spareTokens = running.length * BLOCK_TOKENS;
    const wants = asked.map((state) => {
      const queued = state.phase === "queued";
      const written = state.takeWritten();
      return {
        request: state.request,
        tokens: state.wantedTokens,
        adapters: state.sequence.adapters.map((route) => route.adapter),
        spareTokens: queued ? spareTokens : 0,
        ...(queued && { prefix: state.prefix }),
        ...(written && { written }),
      };
    });
    const upcoming = upcomingAdapters(this.#roster.queue, admissions);
    this.#roster.effects.memory.push({ kind: "plan", plan: this.#plans, wants, upcoming });
  }

  /** @throws {Error} unless each sequence and slot is in one place and the counts add up. */
  checkIntegrity(): void {
    const holds = new Map<SequenceState, number>();
    for (const state of [...this.#flights.states(), ...this.#open?.asked ?? []]) {
      holds.set(state, (holds.get(state) ?? 0) + 1);
    }
    this.#roster.checkIntegrity(holds);
  }

  /** Something was released that `#usage` does not know of. */
  get #usageIsOld(): boolean {
    return this.#roster.releases !== this.#releasesInUsage;
  }

  #users(adapter: AdapterId): SequenceState[] {
    return this.#roster.queue.filter((state) =>
      state.sequence.adapters.some((route) => route.adapter === adapter)
    );
  }

  #submit(sequence: Sequence): void {
    const { id: request, prompt, maxTokens } = sequence;
    if (this.#roster.get(request)) {
      throw new RangeError(`Cannot submit sequence: its id is in use, received ${request}`);
    }
    const state = new SequenceState(sequence, this.#arrivals++);
    if (prompt.length === 0 || maxTokens < 1) {
      const error = `Cannot run sequence: prompt and maxTokens must be at least 1 token, ` +
        `received ${prompt.length} and ${maxTokens}`;
      this.#roster.report(request, { kind: "failed", error });
    } else if (state.end) this.#roster.report(request, state.end);
    else this.#roster.add(state);
  }

  /** Turns grants into a step, and finds pages for running sequences that got none. */
  #planned({ plan, grants, usage, residency }: MemoryManager.Planned): void {
    if (this.#open?.plan !== plan) {
      throw new Error(`Cannot use plan: ${this.#open?.plan} is open, received ${plan}`);
    }
    const { asked, releases } = this.#open;
    this.#open = null;
    this.#usage = usage;
    this.#residency = residency;
    this.#releasesInUsage = releases;
    const queued = asked.filter((state) => state.phase === "queued");
    const blocked = new Set(queued.filter((state) => state.blocked));
    const able: SequenceState[] = [];
    const starved: Starved<SequenceState>[] = [];
    asked.forEach((state, index) => {
      const grant = grants[index];
      if (grant?.request !== state.request) {
        throw new Error(`Cannot use plan ${plan}: no answer for ${state.request}`);
      }
      state.holds--;
      this.#take(state, grant);
      this.#roster.settle(state);
      if (state.slot === null || state.phase === "leaving") return;
      if (grant.kind === "granted") able.push(state);
      if (grant.kind === "exhausted") starved.push({ state, grant });
    });
    this.#countPassing(queued);
    this.#formStep(able);
    if (starved.length > 0) this.#feed(starved);
    // An answer that is news makes room to ask for others; and with nothing under way no event will
    // come, so the next plan must take from those who hold.
    const still = queued.filter((state) =>
      blocked.has(state) && state.phase === "queued" && state.blocked
    );
    const holding = this.#roster.running.some((state) => state.phase === "holding");
    const stuck = this.idle && still.length > 0 && holding;
    if (still.length < queued.length || stuck || this.#usageIsOld) this.#changed = true;
  }

  #take(state: SequenceState, grant: MemoryManager.Grant): void {
    switch (grant.kind) {
      case "granted":
        state.takePages(grant.newPages, grant.cached);
        state.arriving = new Set(grant.arriving);
        if (state.phase === "queued") this.#roster.admit(state, grant.adapters);
        break;
      case "waiting":
        state.awaitsAdapter = true;
        break;
      case "exhausted":
        state.blocked = state.phase === "queued";
        break;
      case "refused":
        // A token in flight may yet end it in good order.
        if (state.holds === 0) this.#roster.fail(state, grant.error);
        break;
      default:
        grant satisfies never;
    }
  }

  #countPassing(asked: readonly SequenceState[]): void {
    const newest = Math.max(...asked.map((state) => state.slot === null ? -1 : state.arrival));
    for (const state of asked) if (state.blocked && state.arrival < newest) state.passedOver++;
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
    if (this.#usageIsOld || this.#residency.arrivingPages > 0) return;
    for (const victim of chooseVictims(this.#roster.running, starved)) this.#roster.preempt(victim);
  }

  #stepped(stepped: Executor.Stepped): void {
    const landed = this.#flights.land(stepped);
    this.#steps++;
    if (stepped.seconds) this.#stepSeconds = longer(this.#stepSeconds, stepped.seconds);
    for (const { state, row, result } of landed) {
      const output = state.takeResult(row, result);
      if (output) this.#roster.effects.outputs.push(output);
      if (state.phase === "holding") state.heldSince = this.#steps;
      this.#roster.settle(state);
    }
  }

  /** Sends a sequence without credit back to the queue where others have long waited for its slot or pages. */
  #parkHolder(): void {
    const { running, queue, freeSlots } = this.#roster;
    const waiting = queue.some((state) =>
      state.admissible && (freeSlots === 0 || (state.blocked && !this.#usageIsOld))
    );
    if (!waiting) return;
    const stuck = this.#flights.count === 0 && !running.some((state) => state.ready > 0);
    const holder = chooseHolder(running, stuck ? Infinity : this.#steps - PATIENCE);
    if (holder) this.#roster.preempt(holder);
  }
}

const longer = (sum: StepSeconds, more: StepSeconds): StepSeconds => ({
  encode: sum.encode + more.encode,
  gpu: sum.gpu + more.gpu,
  read: sum.read + more.read,
});
