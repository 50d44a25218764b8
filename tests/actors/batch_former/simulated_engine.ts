import { assert, assertEquals } from "@std/assert";
import type {
  Command,
  Output,
  OutputEnd,
  Sequence,
} from "../../../actors/batch_former/protocol.ts";
import { Scheduler } from "../../../actors/batch_former/scheduler.ts";
import type { SchedulerLimits } from "../../../actors/batch_former/scheduler_limits.ts";
import type * as Executor from "../../../actors/executor/protocol.ts";
import type * as Loader from "../../../actors/loader/protocol.ts";
import { MemoryManager, RESIDENCY_DEFAULTS } from "../../../actors/memory_manager/manager.ts";
import type * as Memory from "../../../actors/memory_manager/protocol.ts";
import type { TokenLogprobs } from "../../../actors/sampling.ts";
import { adapterId, epoch, type RequestId } from "../../../memory/ids.ts";
import type { AdapterImage } from "../../../models/adapter_image.ts";
import { BLOCK, runAlone, SimulatedExecutor } from "../../support/simulated_executor.ts";

export interface EngineShape extends SchedulerLimits {
  readonly layerPages: number;
  readonly headPages: number;
  readonly pagesPerBlock: number;
  /** Pages of each adapter's image; null: its files do not load. */
  readonly adapters: Readonly<Record<string, { layers: number; head: number } | null>>;
  /** Host memory for adapters, which take a byte a page. */
  readonly hostBytes?: number;
  /** Messages are cloned on their way, as between threads. */
  readonly clone?: boolean;
  readonly prefixCache?: boolean;
  readonly overCommit?: number;
}

interface Mail {
  readonly former: Command[];
  readonly memory: Memory.Command[];
  readonly executor: Executor.Command[];
  readonly loader: Loader.Command[];
}

const MAILBOXES = ["former", "memory", "executor", "loader"] as const;
/** Beside the mailboxes: the executor's slices of adapters. */
const WORK = [...MAILBOXES, "uploads"] as const;

/** What a client saw of a request. */
export interface Seen {
  readonly tokens: number[];
  readonly promptLogprobs: (TokenLogprobs | null)[];
  readonly ends: OutputEnd[];
  /** Prompt tokens that were found computed. */
  cached?: number;
}

/** Scheduler, memory manager and executor with their mailboxes, delivered one message at a time. */
export class SimulatedEngine {
  readonly scheduler: Scheduler;
  readonly seen = new Map<RequestId, Seen>();
  readonly steps: Extract<Executor.Command, { kind: "step" }>[] = [];
  readonly uploads: string[] = [];
  /** Requests whose logits are not finite. */
  readonly broken = new Set<RequestId>();
  /** Requests in the order in which they ended. */
  readonly ended: RequestId[] = [];
  /** A millisecond passes with each message delivered. */
  now = 0;
  readonly #shape: EngineShape;
  readonly #memory: MemoryManager;
  readonly #executor: SimulatedExecutor;
  readonly #mail: Mail = { former: [], memory: [], executor: [], loader: [] };
  readonly #slots = new Map<number, RequestId>();
  readonly #inFlight = new Map<number, Set<RequestId>>();
  readonly #credit = new Map<RequestId, number>();
  readonly #salts = new Map<RequestId, string>();

  constructor(shape: EngineShape) {
    this.#shape = shape;
    this.scheduler = new Scheduler(shape);
    const { hostBytes = RESIDENCY_DEFAULTS.hostBytes } = shape;
    const limits = { ...RESIDENCY_DEFAULTS, hostBytes, uploadBytesPerStep: 4 };
    this.#memory = new MemoryManager({ ...shape, blockTokens: BLOCK }, epoch(1), limits);
    this.#executor = new SimulatedExecutor(
      shape.pagesPerBlock,
      (request) => this.#salts.get(request) ?? "",
    );
  }

  register(name: string): void {
    this.#mail.memory.push({ kind: "register", adapter: adapterId(name), path: `/${name}` });
  }

  submit(sequence: Sequence): void {
    this.seen.set(sequence.id, { tokens: [], promptLogprobs: [], ends: [] });
    this.#credit.set(sequence.id, sequence.credit);
    this.#salts.set(sequence.id, sequence.cacheSalt ?? "");
    this.#mail.former.push({ kind: "submit", sequence });
  }

  cancel(request: RequestId): void {
    this.#mail.former.push({ kind: "cancel", request });
  }

  extendCredit(request: RequestId, tokens: number): void {
    this.#credit.set(request, (this.#credit.get(request) ?? 0) + tokens);
    this.#mail.former.push({ kind: "extend_credit", request, tokens });
  }

  /** Delivers one message of a mailbox that `random` picks; false where all are empty. */
  deliver(random: () => number): boolean {
    const full = WORK.filter((name) =>
      name === "uploads" ? this.#executor.uploading : this.#mail[name].length > 0
    );
    const name = full[Math.floor(random() * full.length)];
    if (!name) return false;
    this.now++;
    this.#deliverTo(name);
    this.scheduler.checkIntegrity();
    this.#memory.checkIntegrity();
    return true;
  }

  /** Delivers until nothing is left to deliver. */
  settle(random: () => number = () => 0, most = 100_000): void {
    for (let i = 0; this.deliver(random); i++) {
      if (i > most) throw new Error(`Cannot settle: still busy after ${most} messages`);
    }
  }

  #deliverTo(name: typeof WORK[number]): void {
    switch (name) {
      case "former": {
        const message = this.#take("former");
        if (message.kind === "stepped") this.#inFlight.delete(message.step);
        this.scheduler.handle(message, this.now);
        if (this.#mail.former.length === 0) this.scheduler.plan(this.now);
        return this.#takeEffects();
      }
      case "memory": {
        const effects = this.#memory.handle(this.#take("memory"));
        for (const message of effects.executor) {
          if (message.kind === "upload") this.uploads.push(message.adapter);
        }
        this.#mail.loader.push(...effects.loader);
        this.#mail.executor.push(...effects.executor);
        this.#mail.former.push(...effects.former);
        return;
      }
      case "executor": {
        const stepped = this.#executor.apply(this.#take("executor"));
        if (stepped) {
          const drew = ({ slot }: Executor.SteppedRow) =>
            !this.broken.has(this.#slots.get(slot) as RequestId);
          const rows = stepped.rows.map((row) => drew(row) ? row : { ...row, token: null });
          this.#mail.former.push({ ...stepped, rows });
        }
        return;
      }
      case "uploads": {
        const uploaded = this.#executor.uploadPage();
        if (uploaded) this.#mail.memory.push(uploaded);
        return;
      }
      case "loader":
        return void this.#mail.memory.push(this.#load(this.#take("loader")));
    }
  }

  #take<Name extends keyof Mail>(name: Name): Mail[Name][number] {
    const message = this.#mail[name].shift();
    if (!message) throw new Error(`Cannot deliver: mailbox is empty, received ${name}`);
    return this.#shape.clone ? structuredClone(message) : message;
  }

  #takeEffects(): void {
    const { memory, executor, outputs } = this.scheduler.takeEffects();
    for (const message of executor) {
      if (message.kind === "open") this.#slots.set(message.slot, message.request);
      if (message.kind === "step") this.#checkStep(message);
    }
    for (const message of memory) {
      if (message.kind !== "release") continue;
      const named = [...this.#inFlight.values()].some((step) => step.has(message.request));
      assert(!named, `${message.request} is released while a step in flight uses its pages`);
    }
    this.#mail.memory.push(...memory);
    this.#mail.executor.push(...executor);
    for (const output of outputs) this.#see(output);
  }

  #checkStep(step: Extract<Executor.Command, { kind: "step" }>): void {
    const requests = step.rows.map((row) => this.#slots.get(row.slot) as RequestId);
    const tokens = step.rows.reduce((sum, row) => sum + (row.tokens?.length ?? 1), 0);
    const logits = step.rows.reduce((sum, { sample, promptTargets }) => {
      const targets = promptTargets?.filter((target) => target !== null).length ?? 0;
      return sum + targets + (sample ? 1 : 0);
    }, 0);
    assert(tokens <= this.#shape.maxBatchTokens, "a step keeps to its token budget");
    assert(logits <= this.#shape.maxLogitRows, "a step keeps to its rows of logits");
    assertEquals(new Set(requests).size, requests.length, "a sequence has one row in a step");
    this.steps.push(step);
    this.#inFlight.set(step.step, new Set(requests));
    assert(this.#inFlight.size <= 2, "at most two steps are in flight");
  }

  #see({ request, tokens, promptLogprobs, end, cachedTokens }: Output): void {
    const seen = this.seen.get(request);
    assert(seen && seen.ends.length === 0, `${request} says nothing after its end`);
    seen.tokens.push(...tokens.map(({ token }) => token));
    seen.promptLogprobs.push(...promptLogprobs);
    if (cachedTokens !== undefined) {
      assert(seen.cached === undefined, `${request} says once what was cached`);
      seen.cached = cachedTokens;
    }
    if (end) {
      seen.ends.push(end);
      this.ended.push(request);
    }
    assert(
      seen.tokens.length <= (this.#credit.get(request) ?? 0),
      `${request} keeps to its credit`,
    );
  }

  #load({ adapter }: Loader.Command): Memory.Command {
    const size = this.#shape.adapters[adapter];
    if (!size) return { kind: "load_failed", adapter, error: `Cannot load adapter ${adapter}` };
    const packed = (pages: number, copies: number) =>
      pages === 0 ? null : { bytes: new SharedArrayBuffer(pages), pages, copies };
    const image: AdapterImage = {
      layers: packed(size.layers, 2),
      head: packed(size.head, 1),
      maxRank: 8,
      moduleRanks: [8, 8, 8, 8, 8, 8, 8],
      headRanks: [8, 8],
      dora: false,
    };
    return { kind: "loaded", adapter, image };
  }
}

/** Each of `sequences` yielded what it yields alone, and ended once. */
export function assertFinished(engine: SimulatedEngine, ...sequences: Sequence[]): void {
  for (const sequence of sequences) {
    const { tokens, ends, promptLogprobs } = engine.seen.get(sequence.id) ?? {};
    assertEquals({ tokens, promptLogprobs, end: ends?.[0] }, runAlone(sequence));
    assertEquals(ends?.length, 1);
  }
}
