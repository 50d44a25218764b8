import type { AdapterPlace } from "./adapter_residency.ts";
import type { AdapterId, PageId, RequestId } from "./ids.ts";
import type { BlockGeometry } from "./page_table.ts";
import type { Prefix, Written } from "./prefix.ts";

export interface MemoryShape extends BlockGeometry {
  /** Pages of every layer's pool, and of the head pool. */
  readonly layerPages: number;
  readonly headPages: number;
  /** Sequences share the KV of what they begin with alike (unless false). */
  readonly prefixCache?: boolean;
  /**
   * A newcomer must leave room for this part of what all may grow by at the peak: 1 lets nobody in who might have to
   * give way to another, 4 counts on a quarter. Absent: none is kept.
   */
  readonly overCommit?: number;
}

/** What a sequence needs for its next step. */
export interface MemoryWant {
  readonly request: RequestId;
  /** KV length that it must be able to hold after the step being planned, in tokens. */
  readonly tokens: number;
  readonly adapters: readonly AdapterId[];
  /** Tokens that must still find room beside it: what running sequences will soon grow by. */
  readonly spareTokens: number;
  /** Tokens beyond `tokens` that it may still grow by; absent: none. */
  readonly growth?: number;
  /** Of a sequence without pages: what its KV depends on. Without it, it shares nothing. */
  readonly prefix?: Prefix;
  /** Its blocks filled since it was last said, by steps sent before this want: others may share them. */
  readonly written?: Written;
  /** Somebody waits for the head pool: it is not to use adapters that lie there, be they on the GPU already. */
  readonly headless?: boolean;
}

export type MemoryGrant =
  | {
    readonly kind: "granted";
    readonly request: RequestId;
    readonly newPages: readonly PageId[];
    /** Tokens from the first on whose KV is in the first of `newPages` already: others computed it. */
    readonly cached: number;
    readonly adapters: readonly PlacedAdapter[];
    /** Those of the adapters that no step may use yet: their images are still being copied. */
    readonly arriving: readonly AdapterId[];
  }
  /** These adapters are not on the GPU and their images not at hand; nothing was taken. */
  | {
    readonly kind: "absent";
    readonly request: RequestId;
    readonly adapters: readonly AdapterId[];
  }
  | {
    readonly kind: "exhausted";
    readonly request: RequestId;
    /** Which pool has too few pages; the head pool only where the layers' has enough. */
    readonly pool: "layers" | "head";
    readonly neededPages: number;
    readonly freePages: number;
  }
  | { readonly kind: "refused"; readonly request: RequestId; readonly error: string };

export interface PlacedAdapter extends AdapterPlace {
  readonly adapter: AdapterId;
}

export interface MemoryPlan {
  readonly grants: readonly MemoryGrant[];
  /** Adapters that were given pages and must be copied there; `arrived` tells that they were. */
  readonly uploads: readonly PlacedAdapter[];
}

/** What the layers' pool holds after a plan, in pages. */
export interface MemoryUsage {
  readonly pages: number;
  readonly freePages: number;
  /** KV of sequences; what they share counts once. */
  readonly kvPages: number;
  /** KV that no sequence uses, kept for those to come. */
  readonly cachedPages: number;
  /** Of adapters that are there and of those on their way. */
  readonly adapterPages: number;
  readonly residentAdapters: readonly AdapterId[];
  readonly arrivingAdapters: number;
}
