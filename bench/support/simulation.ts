import type { Command, Output, Sequence, Shares } from "../../actors/batch_former/protocol.ts";
import { Scheduler } from "../../actors/batch_former/scheduler.ts";
import type { SchedulerLimits } from "../../actors/batch_former/scheduler_limits.ts";
import { MemoryManager, RESIDENCY_DEFAULTS } from "../../actors/memory_manager/manager.ts";
import type * as Memory from "../../actors/memory_manager/protocol.ts";
import { GREEDY } from "../../actors/sampling.ts";
import { adapterId, epoch, type RequestId, requestId } from "../../memory/ids.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";
import type { LoadRecord, LoadRun } from "./offered_load.ts";
import { type CardShape, SimulatedCard } from "./simulated_card.ts";
import type { TraceRequest } from "./trace.ts";

export interface SimulatedRequest extends TraceRequest {
  readonly tenant?: string;
  readonly priority?: number;
  readonly shares?: Shares;
  /** What the client allows where it is not what it gets: the model stops by itself before. */
  readonly maxTokens?: number;
}

/** A server to simulate: real scheduler, real memory, a card that takes the time that steps were measured to take. */
export interface SimulatedServer extends SchedulerLimits, CardShape {
  /** Blocks of KV that the pool holds; a page is a block. */
  readonly blocks: number;
  readonly overCommit?: number;
  /** Pages of each adapter, by number. */
  readonly adapterPages: (adapter: number) => number;
}

/** A run, and what it took. */
export interface SimulatedRun extends LoadRun {
  readonly preemptions: number;
  readonly steps: number;
  readonly uploads: number;
  readonly prefetches: number;
}

/** Tokens of a block. */
export const BLOCK = 16;
/** How often the batch former looks who has waited for too long, as the engine does. */
const TICK_MS = 100;

/**
 * Serves a trace (oldest first) from its first request to its last, event by event; with `inFlight` as a closed loop,
 * in which so many requests are open at any time, whatever their own times say.
 */
export function simulate(
  trace: readonly SimulatedRequest[],
  server: SimulatedServer,
  inFlight = Infinity,
): SimulatedRun {
  return new Simulation(trace, server, inFlight).run();
}

interface Progress {
  readonly request: SimulatedRequest;
  /** Seconds. */
  readonly due: number;
  readonly times: number[];
  error: string | null;
  endedAt: number;
}

class Simulation {
  readonly #trace: readonly SimulatedRequest[];
  readonly #server: SimulatedServer;
  readonly #scheduler: Scheduler;
  readonly #memory: MemoryManager;
  readonly #card: SimulatedCard;
  readonly #progress = new Map<RequestId, Progress>();
  readonly #former: Command[] = [];
  readonly #manager: Memory.Command[] = [];
  readonly #registered = new Set<number>();
  readonly #ended: Progress[] = [];
  readonly #inFlight: number;
  #open = 0;
  #now = 0;

  constructor(trace: readonly SimulatedRequest[], server: SimulatedServer, inFlight: number) {
    this.#trace = trace;
    this.#inFlight = inFlight;
    this.#server = server;
    this.#scheduler = new Scheduler(server);
    this.#card = new SimulatedCard(server);
    // A page of an image is a byte here: only times tell it from a large one.
    const limits = {
      ...RESIDENCY_DEFAULTS,
      hostBytes: 2 ** 40,
      uploadBytesPerStep: server.pagesPerStep,
    };
    this.#memory = new MemoryManager(
      {
        layerPages: server.blocks,
        headPages: 0,
        blockTokens: BLOCK,
        pagesPerBlock: 1,
        prefixCache: false,
        overCommit: server.overCommit ?? Infinity,
      },
      epoch(1),
      limits,
    );
  }

  run(): SimulatedRun {
    let next = 0;
    const watched = this.#server.policy?.names.includes("abort") ?? false;
    while (true) {
      this.#deliver();
      const arrivesAt = this.#arrivesAt(next);
      const tickAt = watched && this.#scheduler.load.waiting > 0 ? this.#now + TICK_MS : Infinity;
      const at = Math.min(arrivesAt, this.#card.nextAt, tickAt);
      if (at === Infinity) break;
      this.#now = at;
      if (at === this.#card.nextAt) {
        for (const event of this.#card.finish()) {
          if (event.kind === "uploaded") this.#manager.push(event);
          else this.#former.push(event);
        }
      } else if (at === arrivesAt) this.#submit(next++);
      else this.#former.push({ kind: "tick" });
    }
    return this.#result();
  }

  #arrivesAt(next: number): number {
    const request = this.#trace[next];
    if (!request || this.#open >= this.#inFlight) return Infinity;
    return this.#inFlight === Infinity ? request.at * 1000 : this.#now;
  }

  #submit(index: number): void {
    const request = this.#trace[index];
    if (!request) return;
    const { adapter, tenant, priority, shares, promptTokens } = request;
    if (adapter !== null && !this.#registered.has(adapter)) {
      this.#registered.add(adapter);
      this.#manager.push({ kind: "register", adapter: adapterId(`${adapter}`), path: "" });
    }
    const id = requestId(`${index}`);
    const due = this.#now / 1000;
    this.#open++;
    this.#progress.set(id, { request, due, times: [], error: null, endedAt: 0 });
    const sequence: Sequence = {
      id,
      prompt: Array.from({ length: promptTokens }, () => 1),
      generated: [],
      adapters: adapter === null ? [] : [{ adapter: adapterId(`${adapter}`), weight: 1 }],
      sampling: GREEDY,
      maxTokens: request.maxTokens ?? request.outputTokens,
      stopTokenIds: [],
      promptLogprobs: false,
      credit: Infinity,
      ...(tenant !== undefined && { tenant }),
      ...(priority !== undefined && { priority }),
      ...(shares !== undefined && { shares }),
    };
    this.#former.push({ kind: "submit", sequence });
  }

  /** Messages take no time. */
  #deliver(): void {
    while (this.#former.length > 0 || this.#manager.length > 0) {
      if (this.#former.length > 0) {
        for (const message of this.#former.splice(0)) {
          this.#scheduler.handle(message, this.#now);
          this.#takeEffects();
        }
        this.#scheduler.plan(this.#now);
        this.#takeEffects();
      }
      const message = this.#manager.shift();
      if (!message) continue;
      const effects = this.#memory.handle(message, this.#now);
      this.#former.push(...effects.former);
      for (const command of effects.executor) this.#card.apply(command, this.#now);
      for (const { adapter } of effects.loader) {
        this.#manager.push({ kind: "loaded", adapter, image: this.#image(Number(adapter)) });
      }
    }
  }

  #takeEffects(): void {
    const { memory, executor, outputs } = this.#scheduler.takeEffects();
    this.#manager.push(...memory);
    for (const command of executor) this.#card.apply(command, this.#now);
    for (const output of outputs) this.#see(output);
  }

  #see({ request, tokens, end }: Output): void {
    const progress = this.#progress.get(request);
    if (!progress) return;
    for (const _ of tokens) progress.times.push(this.#now);
    const done = progress.times.length >= progress.request.outputTokens;
    if (!end && !done) return;
    this.#open--;
    progress.endedAt = this.#now;
    if (end && end.kind !== "finished") progress.error = end.error;
    if (end) return;
    // The model ends by itself here.
    this.#progress.delete(request);
    this.#ended.push(progress);
    this.#former.push({ kind: "cancel", request });
  }

  #image(adapter: number): AdapterImage {
    const pages = this.#server.adapterPages(adapter);
    return {
      layers: { bytes: new SharedArrayBuffer(pages), pages, copies: 1 },
      head: null,
      maxRank: 1,
      moduleRanks: [1, 1, 1, 1, 0, 0, 0],
      headRanks: [0, 0],
      dora: false,
    };
  }

  #result(): SimulatedRun {
    const all = [...this.#progress.values(), ...this.#ended]
      .sort((a, b) => a.due - b.due);
    const records = all.map(({ request, due, times, error, endedAt }): LoadRecord => ({
      adapter: request.adapter,
      due,
      ended: endedAt / 1000,
      firstToken: times[0] === undefined ? null : times[0] / 1000 - due,
      gaps: times.slice(1).map((at, i) => (at - (times[i] ?? 0)) / 1000),
      promptTokens: request.promptTokens,
      outputTokens: times.length,
      status: error === null ? 200 : 503,
      error,
    }));
    const { preemptions, steps, residency } = this.#scheduler.load;
    return {
      records,
      tokenTimes: all.flatMap(({ times }) => times.map((at) => at / 1000)),
      seconds: Math.max(0, ...records.map(({ ended }) => ended)),
      preemptions,
      steps,
      uploads: residency.uploads,
      prefetches: residency.prefetches,
    };
  }
}
