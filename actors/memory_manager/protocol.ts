import type { AdapterId, RequestId } from "../../memory/ids.ts";
import type { MemoryGrant, MemoryUsage, MemoryWant } from "../../memory/memory_plan.ts";
import type { Written } from "../../memory/prefix.ts";
import type { AdapterShape } from "../../models/adapter_image.ts";
import type { ResidentAdapter, Uploaded } from "../executor/protocol.ts";
import type { Loaded, LoadFailed } from "../loader/protocol.ts";

export type { MemoryUsage, MemoryWant };

export type Grant =
  /**
   * `newPages` extend the sequence's block table; adapters have their pages and are pinned for it. No step may
   * name the sequence before `adapter_arrived` for each that is `arriving`.
   */
  | (Omit<Extract<MemoryGrant, { kind: "granted" }>, "adapters"> & {
    readonly adapters: readonly ResidentAdapter[];
  })
  /** An adapter is being read from disk; `adapter_resident` or `adapter_unavailable` follows. */
  | { readonly kind: "waiting"; readonly request: RequestId }
  /** Not enough pages in one of the pools even after evicting every idle adapter; nothing was taken. */
  | Extract<MemoryGrant, { kind: "exhausted" }>
  /** Host memory has no room for its adapters beside those awaited before: nothing was taken, nobody else need wait. */
  | { readonly kind: "crowded"; readonly request: RequestId }
  /** It can never be granted: an adapter is unknown or does not load, or even empty pools are too small. */
  | Extract<MemoryGrant, { kind: "refused" }>;

export type Command =
  /**
   * Reserve for all of `wants`, in order: an earlier want is served before a later one. `upcoming`: adapters of
   * sequences that will be asked for later, soonest first; they are brought nearer where that takes from nobody.
   */
  | {
    readonly kind: "plan";
    readonly plan: number;
    readonly wants: readonly MemoryWant[];
    readonly upcoming: readonly AdapterId[];
  }
  /** Free a sequence's pages and unpin its adapters; sent when no step in flight uses them. */
  | {
    readonly kind: "release";
    readonly request: RequestId;
    /** As in MemoryWant: they stay cached. */
    readonly written?: Written;
  }
  /** `known`: what an earlier engine found in its files, which are then read when a request wants them. */
  | {
    readonly kind: "register";
    readonly adapter: AdapterId;
    readonly path: string;
    readonly known?: AdapterShape;
  }
  /** Forget it and all that was computed with it, each part as soon as nothing uses it. */
  | { readonly kind: "unregister"; readonly adapter: AdapterId }
  /** Bring it to the GPU and let nothing push it out; `adapter_pinned` tells whether that can be. */
  | { readonly kind: "pin"; readonly adapter: AdapterId }
  | { readonly kind: "unpin"; readonly adapter: AdapterId }
  /** Say where adapters are: `adapters_listed` answers. */
  | { readonly kind: "list_adapters" }
  | Uploaded
  | Loaded
  | LoadFailed;

export type Planned = {
  readonly kind: "planned";
  readonly plan: number;
  readonly grants: readonly Grant[];
  readonly usage: MemoryUsage;
  readonly residency: Residency;
};

/** Where adapters are and how they came there; the same object until it changes. Counts are since the start. */
export interface Residency {
  /** Images in host memory. */
  readonly hostAdapters: number;
  readonly hostBytes: number;
  /** Pages of the layers' pool whose upload is under way and that nobody holds: anyone may have them after it. */
  readonly arrivingPages: number;
  readonly diskLoads: number;
  readonly failedLoads: number;
  readonly hostEvictions: number;
  readonly gpuEvictions: number;
  /** Adapters of admitted sequences that were on the GPU or on their way, and that were not. */
  readonly gpuHits: number;
  readonly gpuMisses: number;
  /** Uploads begun before a request was served that needs them. */
  readonly prefetches: number;
  readonly uploads: number;
  readonly uploadBytes: number;
  /** Time that the executor's thread spent on them. */
  readonly uploadSeconds: number;
}

/** An adapter that a want was told to wait for is in memory: the next plan can grant it. */
export type AdapterResident = { readonly kind: "adapter_resident"; readonly adapter: AdapterId };
/** An upload has ended: what was granted with this adapter arriving may run. */
export type AdapterArrived = { readonly kind: "adapter_arrived"; readonly adapter: AdapterId };
export type AdapterUnavailable = {
  readonly kind: "adapter_unavailable";
  readonly adapter: AdapterId;
  readonly error: string;
};
