import type { AdapterId, Epoch } from "../../memory/ids.ts";
import {
  type MemoryShape,
  type PlacedAdapter,
  UnifiedMemory,
} from "../../memory/unified_memory.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";
import type * as BatchFormer from "../batch_former/protocol.ts";
import type * as Executor from "../executor/protocol.ts";
import type * as Loader from "../loader/protocol.ts";
import type { EngineEvent } from "../request_router/protocol.ts";
import type { Command, Grant, Planned, ResidentAdapter, Want } from "./protocol.ts";

/** What the manager has to say to each of its neighbours, to be sent in the order of the fields. */
export interface Effects {
  readonly loader: Loader.Command[];
  /** Uploads go out before the `planned` that relies on them: the executor works in order. */
  readonly executor: Executor.Command[];
  readonly former: BatchFormer.Command[];
  readonly events: EngineEvent[];
}

type Adapter =
  | { readonly state: "loading"; readonly path: string }
  | { readonly state: "ready"; readonly image: AdapterImage }
  | { readonly state: "failed"; readonly error: string };

/** More would only fill the loader's inbox, and take away the choice of what to load next. */
const LOADS_AT_ONCE = 2;

/** Owns page numbers and host images: which adapter is where, loading, resident, or unusable. */
export class MemoryManager {
  readonly #memory: UnifiedMemory;
  readonly #epoch: Epoch;
  readonly #adapters = new Map<AdapterId, Adapter>();
  /** Not yet with the loader, in the order in which they will be. */
  readonly #toLoad: AdapterId[] = [];
  /** A want was told to wait for these. */
  readonly #awaited = new Set<AdapterId>();
  #loading = 0;
  #tick = 0;

  constructor(shape: MemoryShape, epoch: Epoch) {
    this.#memory = new UnifiedMemory(shape);
    this.#epoch = epoch;
  }

  handle(command: Command): Effects {
    const effects: Effects = { loader: [], executor: [], former: [], events: [] };
    switch (command.kind) {
      case "plan":
        effects.former.push(this.#plan(command.plan, command.wants, effects));
        break;
      case "release":
        this.#memory.release(command.request, this.#tick, command.written);
        break;
      case "register":
        this.#register(command.adapter, command.path, effects);
        break;
      case "loaded":
        this.#loading--;
        this.#loaded(command.adapter, command.image, effects);
        break;
      case "load_failed":
        this.#loading--;
        this.#failed(command.adapter, command.error, effects);
        break;
      default:
        command satisfies never;
    }
    this.#loadNext(effects);
    return effects;
  }

  /** @throws {Error} unless every page has exactly one place. */
  checkIntegrity(): void {
    this.#memory.checkIntegrity();
  }

  #plan(plan: number, wants: readonly Want[], effects: Effects): Planned {
    const early = wants.map((want) => this.#withoutMemory(want));
    const servable = wants.filter((_, i) => !early[i]);
    const served = this.#memory.plan(servable, ++this.#tick);
    for (const { adapter, layerPages, headPages } of served.uploads) {
      const image = this.#image(adapter);
      effects.executor.push({ kind: "upload", adapter, image, layerPages, headPages });
    }
    const grants = served.grants.values();
    return {
      kind: "planned",
      plan,
      grants: early.map((answer) => answer ?? this.#grant(grants.next().value)),
      usage: this.#memory.usage,
    };
  }

  #grant(grant: ReturnType<UnifiedMemory["plan"]>["grants"][number] | undefined): Grant {
    if (!grant) throw new Error("Cannot answer plan: a want was not served");
    if (grant.kind !== "granted") return grant;
    return { ...grant, adapters: grant.adapters.map((place) => this.#resident(place)) };
  }

  #resident({ adapter, layerPages, headPages }: PlacedAdapter): ResidentAdapter {
    const { moduleRanks, headRanks } = this.#image(adapter);
    const layerPage = layerPages[0] ?? null;
    return { adapter, layerPage, headPage: headPages[0] ?? null, moduleRanks, headRanks };
  }

  /** The answer to a want whose adapters are not in host memory; null where they are. */
  #withoutMemory(want: Want): Grant | null {
    const { request } = want;
    let waiting = false;
    for (const id of want.adapters) {
      const adapter = this.#adapters.get(id);
      if (!adapter) {
        const error = `Cannot use adapter: it is not registered, received ${id}`;
        return { kind: "refused", request, error };
      }
      if (adapter.state === "failed") return { kind: "refused", request, error: adapter.error };
      if (adapter.state === "ready") continue;
      waiting = true;
      this.#awaited.add(id);
      this.#hurry(id);
    }
    return waiting ? { kind: "waiting", request } : null;
  }

  /** Someone waits: load this one next. */
  #hurry(id: AdapterId): void {
    const index = this.#toLoad.indexOf(id);
    if (index > 0) this.#toLoad.unshift(...this.#toLoad.splice(index, 1));
  }

  #register(id: AdapterId, path: string, effects: Effects): void {
    const known = this.#adapters.get(id);
    if (known?.state === "loading") return;
    if (known?.state === "ready") {
      effects.events.push(this.#registered(id, known.image));
      return;
    }
    this.#adapters.set(id, { state: "loading", path });
    this.#toLoad.push(id);
  }

  #loadNext(effects: Effects): void {
    while (this.#loading < LOADS_AT_ONCE) {
      const id = this.#toLoad.shift();
      if (id === undefined) return;
      const adapter = this.#adapters.get(id);
      if (adapter?.state !== "loading") continue;
      this.#loading++;
      effects.loader.push({ kind: "load", adapter: id, path: adapter.path });
    }
  }

  #loaded(id: AdapterId, image: AdapterImage, effects: Effects): void {
    const size = { layerPages: image.layers?.pages ?? 0, headPages: image.head?.pages ?? 0 };
    const error = this.#memory.addAdapter(id, size);
    if (error !== null) return this.#failed(id, error, effects);
    this.#adapters.set(id, { state: "ready", image });
    effects.events.push(this.#registered(id, image));
    if (this.#awaited.delete(id)) effects.former.push({ kind: "adapter_resident", adapter: id });
  }

  #failed(id: AdapterId, error: string, effects: Effects): void {
    this.#adapters.set(id, { state: "failed", error });
    effects.events.push({ kind: "adapter_rejected", epoch: this.#epoch, adapter: id, error });
    if (!this.#awaited.delete(id)) return;
    effects.former.push({ kind: "adapter_unavailable", adapter: id, error });
  }

  #registered(adapter: AdapterId, image: AdapterImage): EngineEvent {
    const bytes = (image.layers?.bytes.byteLength ?? 0) + (image.head?.bytes.byteLength ?? 0);
    const { maxRank: rank } = image;
    return { kind: "adapter_registered", epoch: this.#epoch, adapter, rank, bytes };
  }

  #image(id: AdapterId): AdapterImage {
    const adapter = this.#adapters.get(id);
    if (adapter?.state === "ready") return adapter.image;
    throw new Error(`Cannot use adapter: its image is not in host memory, received ${id}`);
  }
}
