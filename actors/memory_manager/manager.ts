import type { AdapterId, Epoch } from "../../memory/ids.ts";
import type { MemoryShape, PlacedAdapter } from "../../memory/memory_plan.ts";
import { UnifiedMemory } from "../../memory/unified_memory.ts";
import { shapeOf } from "../../models/adapter_image.ts";
import type * as Executor from "../executor/protocol.ts";
import type { EngineEvent } from "../request_router/protocol.ts";
import { AdapterStore, type HostLimits } from "./adapter_store.ts";
import type { Effects } from "./effects.ts";
import type { Command, Grant, MemoryWant, Planned } from "./protocol.ts";
import { Traffic } from "./traffic.ts";

export interface ResidencyLimits extends HostLimits {
  /** Bytes uploaded between two steps: no prefetch begins while more than that is on its way. */
  readonly uploadBytesPerStep: number;
  /** The longest sequence: beside adapters pinned for good, there must always be room for one. */
  readonly sequenceTokens: number;
}

export const RESIDENCY_DEFAULTS: ResidencyLimits = {
  hostBytes: 4 * 2 ** 30,
  uploadBytesPerStep: 16 * 2 ** 20,
  retryMs: 5000,
  sequenceTokens: 16,
};

/** Owns page numbers and host images: which adapter is on disk, in host memory, on the GPU, or unusable. */
export class MemoryManager {
  readonly #memory: UnifiedMemory;
  readonly #store: AdapterStore;
  readonly #limits: ResidencyLimits;
  readonly #blockTokens: number;
  readonly #epoch: Epoch;
  readonly #traffic = new Traffic();
  /** Uploads under way, in bytes. */
  readonly #uploading = new Map<AdapterId, number>();
  #tick = 0;

  constructor(shape: MemoryShape, epoch: Epoch, limits: ResidencyLimits = RESIDENCY_DEFAULTS) {
    const memory = new UnifiedMemory(shape);
    this.#memory = memory;
    this.#limits = limits;
    this.#blockTokens = shape.blockTokens;
    this.#epoch = epoch;
    this.#store = new AdapterStore(
      limits,
      epoch,
      this.#traffic,
      (id, size) => memory.addAdapter(id, size),
    );
  }

  /** Bytes of images that nobody here holds any more, since the start. */
  get dropped(): number {
    return this.#store.dropped;
  }

  /** `nowMs` of a clock that never goes back, for when to look at failed adapters again. */
  handle(command: Command, nowMs = 0): Effects {
    const effects: Effects = { loader: [], executor: [], former: [], events: [] };
    switch (command.kind) {
      case "plan":
        effects.former.push(this.#plan(command, effects, nowMs));
        break;
      case "release":
        this.#memory.release(command.request, this.#tick, command.written);
        break;
      case "register":
        this.#store.register(command, effects);
        break;
      case "unregister":
        this.#store.forget(command.adapter, effects);
        this.#memory.forgetAdapter(command.adapter);
        this.#memory.dropPrefixes(command.adapter);
        break;
      case "pin":
        effects.events.push(this.#pin(command.adapter, nowMs));
        break;
      case "unpin":
        this.#memory.unkeepAdapter(command.adapter);
        break;
      case "list_adapters": {
        const places = { host: this.#store.host.kept, gpu: this.#memory.usage.residentAdapters };
        effects.events.push({ kind: "adapters_listed", epoch: this.#epoch, places });
        break;
      }
      case "loaded":
        this.#store.loaded(command.adapter, command.image, this.#tick, nowMs, effects);
        break;
      case "load_failed":
        this.#store.failed(command.adapter, command.error, nowMs, effects, command.passing);
        break;
      case "uploaded":
        this.#uploaded(command, effects);
        break;
      default:
        command satisfies never;
    }
    this.#bringPinned(effects, nowMs);
    this.#store.loadNext(nowMs, effects);
    return effects;
  }

  /** @throws {Error} unless every page has exactly one place and every image that is being copied is kept. */
  checkIntegrity(): void {
    this.#memory.checkIntegrity();
    this.#store.checkIntegrity();
    for (const adapter of this.#uploading.keys()) {
      if (this.#memory.hasPlace(adapter) && this.#store.has(adapter)) continue;
      throw new Error(`Cannot trust uploads: pages or image are gone, received ${adapter}`);
    }
  }

  #plan(
    { plan, wants, upcoming }: Extract<Command, { kind: "plan" }>,
    effects: Effects,
    nowMs: number,
  ): Planned {
    const tick = ++this.#tick;
    const early = wants.map((want) => this.#refusal(want, nowMs));
    const servable = wants.filter((_, i) => !early[i]);
    this.#memory.touch(upcoming, tick);
    const served = this.#memory.plan(servable, tick, (id) => this.#store.has(id));
    for (const place of served.uploads) this.#upload(place, effects);
    const needs = servable.map(({ adapters }) =>
      adapters.filter((adapter) => !this.#memory.hasPlace(adapter))
    );
    const claimed = this.#store.claim(needs, nowMs);
    const lacks = (pool: "layers" | "head") =>
      served.grants.findIndex((grant) => grant.kind === "exhausted" && grant.pool === pool);
    // Who is short of head pages is in the way of nobody but those with adapters there.
    const shortFrom = lacks("layers");
    const short = shortFrom >= 0;
    const spare = short ? null : wants.length * this.#blockTokens;
    this.#prefetch(upcoming, spare, lacks("head") >= 0, effects, nowMs);
    // Who comes after one that found no room, on the GPU or in host memory, waits for room too.
    const grants = served.grants.map((grant, i): Grant => {
      if (grant.kind === "granted") {
        return { ...grant, adapters: grant.adapters.map((place) => this.#resident(place)) };
      }
      if (grant.kind !== "absent") return grant;
      const { request } = grant;
      if (i >= claimed) return { kind: "crowded", request };
      if (short && i > shortFrom) {
        return { kind: "exhausted", request, pool: "layers", neededPages: 0, freePages: 0 };
      }
      this.#store.wait(grant.adapters, needs[i] ?? []);
      return { kind: "waiting", request };
    }).values();
    return {
      kind: "planned",
      plan,
      grants: early.map((answer) => answer ?? this.#must(grants.next().value)),
      usage: this.#memory.usage,
      residency: this.#traffic.with({
        hostAdapters: this.#store.host.count,
        hostBytes: this.#store.host.bytes,
        arrivingPages: this.#memory.arrivingPages,
        hostEvictions: this.#store.host.evictions,
        gpuEvictions: this.#memory.evictions,
        gpuHits: this.#memory.found.hits,
        gpuMisses: this.#memory.found.misses,
      }),
    };
  }

  #must(grant: Grant | undefined): Grant {
    if (!grant) throw new Error("Cannot answer plan: a want was not served");
    return grant;
  }

  #resident({ adapter, layerPages, headPages }: PlacedAdapter): Executor.ResidentAdapter {
    const shape = this.#store.shape(adapter);
    if (!shape) throw new Error(`Cannot use adapter: it was never read, received ${adapter}`);
    const { moduleRanks, headRanks } = shape;
    const layerPage = layerPages[0] ?? null;
    return { adapter, layerPage, headPage: headPages[0] ?? null, moduleRanks, headRanks };
  }

  /** The answer to a want that cannot be served whatever memory holds; null where it may be. */
  #refusal({ request, adapters }: MemoryWant, nowMs: number): Grant | null {
    let bytes = 0;
    for (const adapter of new Set(adapters)) {
      const registered = this.#store.isRegistered(adapter);
      bytes += this.#store.shape(adapter)?.bytes ?? 0;
      if (registered && this.#memory.hasPlace(adapter)) continue; // whatever became of its files
      const error = this.#store.refusal(adapter, nowMs);
      if (error !== null) return { kind: "refused", request, error };
      this.#store.touch(adapter, this.#tick);
    }
    const { hostBytes } = this.#limits;
    if (bytes <= hostBytes) return null;
    const error = `Cannot use these adapters together: adapter-host-bytes is ${hostBytes}, ` +
      `received images of ${bytes} bytes`;
    return { kind: "refused", request, error };
  }

  #upload({ adapter, layerPages, headPages }: PlacedAdapter, effects: Effects): void {
    const image = this.#store.hold(adapter, this.#tick);
    this.#uploading.set(adapter, shapeOf(image).bytes);
    effects.executor.push({ kind: "upload", adapter, image, layerPages, headPages });
  }

  #uploaded({ adapter, bytes, seconds }: Executor.Uploaded, effects: Effects): void {
    this.#traffic.count("uploads");
    this.#traffic.count("uploadBytes", bytes);
    this.#traffic.count("uploadSeconds", seconds);
    this.#uploading.delete(adapter);
    this.#store.letGo(adapter);
    this.#memory.arrived(adapter, this.#tick);
    effects.former.push({ kind: "adapter_arrived", adapter });
  }

  /** Brings what the queue will want from disk to host memory, and on to the GPU where `spareTokens` stay free. */
  #prefetch(
    upcoming: readonly AdapterId[],
    spareTokens: number | null,
    headShort: boolean,
    effects: Effects,
    nowMs: number,
  ): void {
    const expected: AdapterId[] = [];
    let spare = spareTokens;
    // What is expected together must fit together, or one would push the other out for ever.
    let room = this.#limits.hostBytes / 2;
    for (const adapter of upcoming) {
      if (this.#memory.hasPlace(adapter) || this.#store.refusal(adapter, nowMs) !== null) continue;
      room -= this.#store.shape(adapter)?.bytes ?? 0;
      if (room < 0) break;
      expected.push(adapter);
      if (!this.#store.has(adapter) || spare === null || this.#busy) continue;
      if (headShort && this.#store.shape(adapter)?.headPages !== 0) continue;
      const place = this.#memory.prefetch(adapter, spare, this.#tick);
      if (!place) {
        spare = null; // not every plan need try them all
        continue;
      }
      this.#traffic.count("prefetches");
      this.#upload(place, effects);
    }
    this.#store.expect(expected, this.#tick);
  }

  #pin(adapter: AdapterId, nowMs: number): EngineEvent {
    // What was never read may be of any size, and what was refused when it was read is not to be read for ever.
    const unread = this.#store.shape(adapter)
      ? null
      : `Cannot pin adapter: its files have not been read, received ${adapter}`;
    const error = this.#store.refusal(adapter, nowMs) ?? unread ??
      this.#memory.keepAdapter(adapter, this.#limits.sequenceTokens);
    return { kind: "adapter_pinned", epoch: this.#epoch, adapter, error };
  }

  /** Pinned adapters that are not on the GPU go there as soon as nothing in use is in their way. */
  #bringPinned(effects: Effects, nowMs: number): void {
    for (const adapter of this.#memory.keptAway) {
      if (this.#store.refusal(adapter, nowMs) !== null) continue;
      if (!this.#store.has(adapter)) this.#store.wait([adapter], [adapter]);
      else if (!this.#busy) {
        const place = this.#memory.prefetch(adapter, 0, this.#tick);
        if (place) this.#upload(place, effects);
      }
    }
  }

  /** As much is on its way as one step takes along. */
  get #busy(): boolean {
    const bytes = this.#uploading.values().reduce((sum, bytes) => sum + bytes, 0);
    return bytes >= this.#limits.uploadBytesPerStep;
  }
}
