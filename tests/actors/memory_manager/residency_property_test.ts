import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type * as Executor from "../../../actors/executor/protocol.ts";
import { MemoryManager } from "../../../actors/memory_manager/manager.ts";
import type { Command, MemoryUsage, Residency } from "../../../actors/memory_manager/protocol.ts";
import { type AdapterId, adapterId, epoch, requestId } from "../../../memory/ids.ts";
import type { AdapterImage } from "../../../models/adapter_image.ts";

const ADAPTERS = 8;
const PAGE = 100;
const HOST = 1500;
const shape = { layerPages: 30, headPages: 0, pagesPerBlock: 1, blockTokens: 16 };
const limits = { hostBytes: HOST, uploadBytesPerStep: 400, retryMs: 50, sequenceTokens: 40 };

const imageOf = (pages: number): AdapterImage => ({
  layers: { bytes: new SharedArrayBuffer(pages * PAGE), pages, copies: 1 },
  head: null,
  maxRank: 8,
  moduleRanks: [8, 0, 0, 0, 0, 0, 0],
  headRanks: [0, 0],
  dora: false,
});

const name = fc.nat({ max: ADAPTERS - 1 }).map((i) => adapterId(`a${i}`));
const action = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant("plan" as const), queued: fc.array(name) }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("submit" as const), adapter: name }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("end" as const), at: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("load" as const), at: fc.nat(), ok: fc.boolean() }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("page" as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("register" as const, "register", "unregister", "pin", "pin", "unpin"),
      adapter: name,
    }),
  },
);
type Action = typeof action extends fc.Arbitrary<infer A> ? A : never;

/** The manager's neighbours: a queue of requests, a loader that may fail, an executor that copies page by page. */
class World {
  readonly manager = new MemoryManager(shape, epoch(1), limits);
  readonly #sizes: readonly number[];
  readonly #waiting = new Map<string, AdapterId>();
  /** Requests told to wait, until an event about their adapter. */
  readonly #parked = new Set<string>();
  readonly #running = new Map<
    string,
    { readonly adapter: AdapterId; readonly arriving: Set<AdapterId> }
  >();
  readonly #loads: AdapterId[] = [];
  readonly #uploads: (Extract<Executor.Command, { kind: "upload" }> & { done: number })[] = [];
  /** What was written last to each page. */
  readonly #pages = new Map<number, string>();
  #nowMs = 0;
  #requests = 0;
  #plans = 0;
  /** Adapters that were pinned, and those of them that were seen on the GPU. */
  readonly #pinned = new Set<AdapterId>();
  readonly #there = new Set<AdapterId>();
  readonly #read = new Set<AdapterId>();
  residency: Residency | null = null;
  usage: MemoryUsage | null = null;
  answered = 0;

  constructor(sizes: readonly number[]) {
    this.#sizes = sizes;
    for (let i = 0; i < ADAPTERS; i++) {
      this.#send({ kind: "register", adapter: adapterId(`a${i}`), path: `/${i}` });
    }
  }

  get open(): number {
    return this.#waiting.size + this.#running.size;
  }

  get submitted(): number {
    return this.#requests;
  }

  act(action: Action): void {
    this.#nowMs += 7;
    switch (action.kind) {
      case "submit":
        this.#waiting.set(`r${this.#requests++}`, action.adapter);
        break;
      case "plan":
        this.plan(action.queued);
        break;
      case "end": {
        const all = [...this.#running.keys()];
        const request = all[action.at % Math.max(1, all.length)];
        if (request !== undefined) this.#end(request);
        break;
      }
      case "load":
        this.#load(action.at, action.ok);
        break;
      case "page":
        this.#page();
        break;
      case "register":
        this.#send({ kind: "register", adapter: action.adapter, path: "/again" });
        break;
      case "unregister":
      case "unpin":
        if (action.kind === "unregister") this.#read.delete(action.adapter);
        this.#pinned.delete(action.adapter);
        this.#there.delete(action.adapter);
        this.#send({ kind: action.kind, adapter: action.adapter });
        break;
      case "pin":
        // What was not read cannot be pinned.
        this.#send({ kind: "register", adapter: action.adapter, path: "/again" });
        while (!this.#read.has(action.adapter) && this.#loads.length > 0) this.#load(0, true);
        this.#send({ kind: "pin", adapter: action.adapter });
        break;
      default:
        action satisfies never;
    }
  }

  /** Nobody knows any adapter any more. */
  unregisterAll(): void {
    for (let i = 0; i < ADAPTERS; i++) {
      this.act({ kind: "unregister", adapter: adapterId(`a${i}`) });
    }
  }

  /** Adapters that came to the GPU because they were pinned, or stayed for that. */
  pinned = 0;

  /** Everything that is under way ends, and every request with it. */
  settle(): void {
    for (let rounds = 0; this.open > 0; rounds++) {
      if (rounds > 500) throw new Error(`Cannot settle: ${this.open} requests are left`);
      this.#nowMs += 7;
      while (this.#loads.length > 0) this.#load(0, true);
      while (this.#uploads.length > 0) this.#page();
      this.plan([]);
      while (this.#uploads.length > 0) this.#page();
      for (const request of [...this.#running.keys()]) this.#end(request);
    }
    while (this.#loads.length > 0) this.#load(0, true);
    while (this.#uploads.length > 0) this.#page();
  }

  plan(upcoming: readonly AdapterId[]): void {
    const asked = [...this.#waiting].filter(([request]) => !this.#parked.has(request));
    const wants = asked.map(([request, adapter]) => ({
      request: requestId(request),
      tokens: 20,
      adapters: [adapter],
      spareTokens: 0,
    }));
    this.#send({ kind: "plan", plan: ++this.#plans, wants, upcoming });
  }

  #send(command: Command): void {
    const { loader, executor, former, events } = this.manager.handle(command, this.#nowMs);
    this.manager.checkIntegrity();
    for (const event of events) {
      if (event.kind === "adapter_registered") this.#read.add(event.adapter);
      if (event.kind === "adapter_pinned" && event.error === null) this.#pinned.add(event.adapter);
    }
    for (const { adapter } of loader) {
      assert(!this.#loads.includes(adapter), "an adapter is read once at a time");
      this.#loads.push(adapter);
    }
    assert(this.#loads.length <= 16, "a few are read at a time");
    for (const command of executor) {
      assert(command.kind === "upload");
      this.#uploads.push({ ...command, done: 0 });
    }
    for (const message of former) this.#hear(message);
    if (command.kind !== "list_adapters") this.#lookForPinned();
  }

  /** What is pinned comes and stays. */
  #lookForPinned(): void {
    for (const event of this.manager.handle({ kind: "list_adapters" }, this.#nowMs).events) {
      if (event.kind !== "adapters_listed") continue;
      for (const adapter of this.#pinned) {
        if (event.places.gpu.includes(adapter)) {
          if (!this.#there.has(adapter)) this.pinned++;
          this.#there.add(adapter);
        } else assert(!this.#there.has(adapter), `${adapter} is pinned, and gone`);
      }
    }
  }

  #hear(message: ReturnType<MemoryManager["handle"]>["former"][number]): void {
    if (message.kind === "planned") {
      this.residency = message.residency;
      this.usage = message.usage;
      assert(message.residency.hostBytes <= HOST, "host memory keeps to its limit");
      for (const grant of message.grants) this.#take(grant);
    }
    if (message.kind === "adapter_resident" || message.kind === "adapter_unavailable") {
      for (const [request, adapter] of this.#waiting) {
        if (adapter !== message.adapter || !this.#parked.delete(request)) continue;
        if (message.kind === "adapter_unavailable") this.#answer(request);
      }
    }
    if (message.kind === "adapter_arrived") {
      for (const { arriving } of this.#running.values()) arriving.delete(message.adapter);
    }
    this.#look();
  }

  #take(
    grant: Extract<
      ReturnType<MemoryManager["handle"]>["former"][number],
      { kind: "planned" }
    >["grants"][number],
  ): void {
    const { request } = grant;
    const adapter = this.#waiting.get(request);
    assert(adapter !== undefined);
    if (grant.kind === "waiting") this.#parked.add(request);
    if (grant.kind === "refused") this.#answer(request);
    if (grant.kind !== "granted") return;
    this.#waiting.delete(request);
    this.#running.set(request, { adapter, arriving: new Set(grant.arriving) });
    for (const page of grant.newPages) this.#write(page, `kv ${request}`);
  }

  /** Every running request finds its adapter where it was told, all of it. */
  #look(): void {
    for (const { adapter, arriving } of this.#running.values()) {
      if (arriving.size > 0) continue;
      const pages = [...this.#pages.values()].filter((owner) => owner === adapter).length;
      const size = this.#sizes[Number(adapter.slice(1))] ?? 0;
      assert(pages >= size, `${adapter} is on the GPU for those who run with it`);
    }
  }

  #load(at: number, ok: boolean): void {
    const [adapter] = this.#loads.splice(at % Math.max(1, this.#loads.length), 1);
    if (adapter === undefined) return;
    const pages = this.#sizes[Number(adapter.slice(1))] ?? 1;
    if (ok) this.#send({ kind: "loaded", adapter, image: imageOf(pages) });
    else this.#send({ kind: "load_failed", adapter, error: "gone" });
  }

  #page(): void {
    const [upload] = this.#uploads;
    if (!upload) return;
    const page = upload.layerPages[upload.done++];
    if (page !== undefined) this.#write(page, upload.adapter);
    if (upload.done < upload.layerPages.length) return;
    this.#uploads.shift();
    const { adapter } = upload;
    this.#send({ kind: "uploaded", adapter, bytes: upload.done * PAGE, seconds: 0 });
  }

  #write(page: number, owner: string): void {
    for (const { adapter, layerPages, done } of this.#uploads) {
      const theirs = layerPages.some((p, i) => p === page && i < done && adapter !== owner);
      assert(!theirs, `page ${page} of ${adapter}, on its way, is given to ${owner}`);
    }
    this.#pages.set(page, owner);
  }

  #answer(request: string): void {
    this.#waiting.delete(request);
    this.#parked.delete(request);
    this.answered++;
  }

  #end(request: string): void {
    this.#running.delete(request);
    this.answered++;
    this.#send({ kind: "release", request: requestId(request) });
  }
}

Deno.test("any order of loads, failures, slices, ends, evictions, pins and farewells leaks nothing and answers every request", () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 9 }), {
    minLength: ADAPTERS,
    maxLength: ADAPTERS,
  });
  let pinned = 0;
  fc.assert(
    fc.property(sizes, fc.array(action, { maxLength: 200 }), (sizes, actions) => {
      const world = new World(sizes);
      for (const action of actions) world.act(action);
      world.settle();
      assertEquals(world.answered, world.submitted);
      world.plan([]);
      assertEquals(world.residency?.arrivingPages, 0);
      pinned += world.pinned;
      // Whatever was there is gone when all are unregistered, on the GPU and in host memory.
      world.unregisterAll();
      world.plan([]);
      assertEquals([world.usage?.freePages, world.residency?.hostBytes], [shape.layerPages, 0]);
    }),
    { numRuns: 200 },
  );
  assert(pinned > 20, `${pinned} adapters were pinned`);
});
