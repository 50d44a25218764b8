import { AdapterResidency } from "./adapter_residency.ts";
import type { AdapterId, RequestId } from "./ids.ts";
import type {
  MemoryGrant,
  MemoryPlan,
  MemoryShape,
  MemoryUsage,
  MemoryWant,
  PlacedAdapter,
} from "./memory_plan.ts";
import { PeakDemand } from "./peak_demand.ts";
import { type PageCounts, sumOf } from "./page_counts.ts";
import { PagePool } from "./page_pool.ts";
import { PageTable } from "./page_table.ts";
import type { Written } from "./prefix.ts";
import { PrefixCache } from "./prefix_cache.ts";

type Shortage = Omit<Extract<MemoryGrant, { kind: "exhausted" }>, "kind" | "request">;

/** KV of sequences and adapters of any rank in one pool of pages, first come, first served. */
export class UnifiedMemory {
  readonly #layers: PagePool;
  readonly #heads: PagePool;
  readonly #table: PageTable;
  readonly #adapters: AdapterResidency;
  readonly #demand: PeakDemand;
  /** null: nothing is shared. */
  readonly #prefixes: PrefixCache | null;

  constructor(shape: MemoryShape) {
    this.#layers = new PagePool(shape.layerPages);
    this.#heads = new PagePool(shape.headPages);
    this.#table = new PageTable(this.#layers, shape);
    this.#demand = new PeakDemand(shape.blockTokens, shape.overCommit);
    this.#adapters = new AdapterResidency(this.#layers, this.#heads);
    this.#prefixes = shape.prefixCache === false ? null : new PrefixCache(this.#layers, shape);
  }

  /** Granted requests that found an adapter of theirs on the GPU, and that did not. */
  readonly found = { hits: 0, misses: 0 };

  /** Makes an adapter usable, unless it is already. Returns why it can never be resident, or null. */
  addAdapter(adapter: AdapterId, size: PageCounts): string | null {
    const error = this.#tooLarge(size, `adapter ${adapter}`);
    if (error === null) this.#adapters.add(adapter, size);
    return error;
  }

  /**
   * Gives an adapter its pages for good, from when it is brought in. Returns why that cannot be, or null: beside
   * all that are kept, the largest other adapter and a sequence of `tokens` must still find room.
   */
  keepAdapter(adapter: AdapterId, tokens: number): string | null {
    const kept = new Set([...this.#adapters.kept, adapter]);
    const largest = this.#adapters.largestBeside(kept);
    const all = this.#sizeOf([...kept]);
    const error = this.#tooLarge({
      layerPages: all.layerPages + largest.layerPages + this.#table.pagesFor(tokens),
      headPages: all.headPages + largest.headPages,
    }, `adapter ${adapter} for good, beside others and a sequence of ${tokens} tokens`);
    if (error === null) this.#adapters.keep(adapter);
    return error;
  }

  /** Its pages may go again when nobody uses them. */
  unkeepAdapter(adapter: AdapterId): void {
    this.#adapters.unkeep(adapter);
  }

  /** Adapters kept that are not there, though pages for them could be had. */
  get keptAway(): AdapterId[] {
    return [...this.#adapters.kept].filter((adapter) =>
      !this.hasPlace(adapter) && !this.#shortage(this.#sizeOf([adapter]), 0)
    );
  }

  /** Makes an adapter unknown; its pages are free when its last request and its upload have ended. */
  forgetAdapter(adapter: AdapterId): void {
    this.#adapters.forget(adapter);
  }

  /** On the GPU, or on its way there. */
  hasPlace(adapter: AdapterId): boolean {
    return this.#adapters.place(adapter) !== undefined;
  }

  /**
   * Serves `wants` in order; `tick` counts plans and says how long an adapter has been idle. An adapter can be
   * brought in only where its image is `atHand`.
   */
  plan(
    wants: readonly MemoryWant[],
    tick: number,
    atHand: (adapter: AdapterId) => boolean = () => true,
  ): MemoryPlan {
    // What a later want will use must not be evicted for an earlier one while anything else can go.
    for (const want of wants) {
      for (const adapter of want.adapters) this.#adapters.touch(adapter, tick);
      this.#publish(want.request, want.written, tick);
    }
    const uploads: PlacedAdapter[] = [];
    const grants = wants.map((want) => this.#serve(want, tick, atHand, uploads));
    return { grants, uploads };
  }

  /**
   * Brings an adapter in before any request that will use it is served, if that takes pages from nobody but
   * cached KV and adapters that this plan did not name, and leaves `spareTokens` room; null where it does not.
   */
  prefetch(adapter: AdapterId, spareTokens: number, tick: number): PlacedAdapter | null {
    const size = this.#adapters.size(adapter);
    if (!size) return null;
    const layerPages = size.layerPages + this.#table.pagesFor(spareTokens);
    // Nothing is given up for what cannot be had all the same.
    if (this.#shortage({ ...size, layerPages }, 0, tick)) return null;
    this.#makeRoom({ ...size, layerPages }, tick, tick);
    this.#adapters.bringIn(adapter, tick);
    return this.#placed([adapter])[0] ?? null;
  }

  /** Keeps adapters from being the next to go: they will be wanted soon. */
  touch(adapters: readonly AdapterId[], tick: number): void {
    for (const adapter of adapters) this.#adapters.touch(adapter, tick);
  }

  /** An upload has ended: what was granted with the adapter arriving may run. */
  arrived(adapter: AdapterId, tick: number): void {
    this.#adapters.arrived(adapter, tick);
  }

  /** Pages of the layers' pool that anyone may take when the uploads under way have ended. */
  get arrivingPages(): number {
    return this.#adapters.arrivingIdle.layerPages;
  }

  /** Adapters evicted from the GPU to make room. */
  get evictions(): number {
    return this.#adapters.evictions;
  }

  /** Frees a sequence's pages, except for what stays cached, and unpins its adapters; it may hold none. */
  release(request: RequestId, tick: number, written?: Written): void {
    this.#publish(request, written, tick);
    this.#prefixes?.close(request, this.#table.pagesOf(request), tick);
    this.#table.release(request);
    this.#demand.delete(request);
    this.#adapters.unpinAll(request, tick);
  }

  /** Frees the KV computed with an adapter that is gone: at once, or when its last sequence ends. */
  dropPrefixes(adapter: AdapterId): void {
    this.#prefixes?.drop(adapter);
  }

  get usage(): MemoryUsage {
    const { size: pages, free: freePages } = this.#layers;
    const kvPages = this.#table.pages - (this.#prefixes?.sharedPages ?? 0);
    const cachedPages = this.#prefixes?.idlePages ?? 0;
    const adapterPages = pages - freePages - kvPages - cachedPages;
    const { residents: residentAdapters, arriving: arrivingAdapters } = this.#adapters;
    const layers = { pages, freePages, kvPages, cachedPages, adapterPages };
    return { ...layers, residentAdapters, arrivingAdapters };
  }

  /** @throws {Error} unless each page is free, an adapter's, or KV with as many owners as share it. */
  checkIntegrity(): void {
    this.#adapters.checkIntegrity();
    this.#prefixes?.checkIntegrity((request) => this.#table.pagesOf(request));
    this.#layers.checkIntegrity([
      ...this.#table.owners(),
      ...this.#prefixes?.owners() ?? [],
      ...this.#adapters.owners("layerPages"),
    ]);
    this.#heads.checkIntegrity(this.#adapters.owners("headPages"));
  }

  #serve(
    want: MemoryWant,
    tick: number,
    atHand: (adapter: AdapterId) => boolean,
    uploads: PlacedAdapter[],
  ): MemoryGrant {
    const { request, tokens } = want;
    const adapters = [...new Set(want.adapters)];
    const missing = adapters.filter((adapter) => !this.hasPlace(adapter) && !atHand(adapter));
    if (missing.length > 0) return { kind: "absent", request, adapters: missing };
    const error = this.#unservable(adapters, tokens);
    if (error !== null) return { kind: "refused", request, error };

    const residents = adapters.filter((adapter) => this.#adapters.place(adapter));
    const absent = adapters.filter((adapter) => !this.#adapters.place(adapter));
    // Pinned first, so that making room for one of the request's adapters never evicts another.
    const pinned = residents.filter((adapter) => this.#adapters.pin(adapter, request));
    const newcomers = this.#sizeOf(absent);
    const shared = (want.prefix && this.#prefixes?.open(request, want.prefix)) ?? [];
    const needed = {
      layerPages: this.#table.missing(request, tokens) - shared.length + newcomers.layerPages,
      headPages: newcomers.headPages,
    };
    const spare = this.#table.pagesFor(Math.max(want.spareTokens, this.#demand.kept(want)));
    const heads = want.headless ? this.#sizeOf(adapters).headPages : 0;
    const spared = heads > 0 ? { pool: "head" as const, neededPages: heads, freePages: 0 } : null;
    const short = this.#shortage(needed, spare) ?? spared;
    if (short) {
      for (const adapter of pinned) this.#adapters.unpin(adapter, request);
      if (want.prefix) this.#prefixes?.close(request, [], tick);
      return { kind: "exhausted", request, ...short };
    }
    this.found.hits += pinned.length;
    this.found.misses += absent.length;
    this.#makeRoom(needed, tick);
    for (const adapter of absent) {
      if (!this.#adapters.bringIn(adapter, tick)) {
        throw new Error(`Cannot place adapter: its room is gone, received ${adapter}`);
      }
      this.#adapters.pin(adapter, request);
      uploads.push(...this.#placed([adapter]));
    }
    this.#table.adopt(request, shared);
    const added = this.#table.grow(request, tokens);
    if (!added) throw new Error(`Cannot grow sequence: its room is gone, received ${request}`);
    this.#demand.set(want);
    const newPages = [...shared, ...added];
    const cached = this.#table.tokensIn(shared.length);
    const arriving = adapters.filter((adapter) => this.#adapters.isArriving(adapter));
    const placed = this.#placed(adapters);
    return { kind: "granted", request, newPages, cached, adapters: placed, arriving };
  }

  #publish(request: RequestId, written: Written | undefined, tick: number): void {
    if (!written) return;
    this.#prefixes?.publish(request, written, this.#table.pagesOf(request), tick);
  }

  /**
   * Frees what is there to be evicted: of cached KV and idle adapters whichever has lain unused longer. A page
   * of KV costs more to make again than a page of an adapter to copy, but is less likely to be asked for
   * again; as neither is known, time alone decides. Adapters only where they were last used before `before`.
   */
  #makeRoom(needed: PageCounts, tick: number, before = Infinity): void {
    let adapter: number | null | undefined; // looked for among thousands: the same until it goes
    while (this.#layers.free < needed.layerPages && this.#prefixes) {
      const block = this.#prefixes.oldest;
      if (block === null) break;
      if (adapter === undefined) adapter = this.#adapters.idleSince(tick, before);
      if (adapter === null || block <= adapter) this.#prefixes.evict();
      else {
        this.#adapters.makeRoom({ layerPages: this.#layers.free + 1, headPages: 0 }, tick, before);
        adapter = undefined;
      }
    }
    this.#adapters.makeRoom(needed, tick, before);
  }

  #placed(adapters: readonly AdapterId[]): PlacedAdapter[] {
    return adapters.flatMap((adapter) => {
      const place = this.#adapters.place(adapter);
      return place ? [{ adapter, layerPages: place.layerPages, headPages: place.headPages }] : [];
    });
  }

  /** The pool that lacks pages for `needed` (and, for the layers, `spare` more), or null. */
  #shortage(needed: PageCounts, spare: number, before = Infinity): Shortage | null {
    const idle = this.#adapters.idle(before);
    const cached = this.#prefixes?.idlePages ?? 0;
    const layers = this.#layers.free + idle.layerPages + cached;
    const heads = this.#heads.free + idle.headPages;
    if (needed.layerPages > 0 && needed.layerPages + spare > layers) {
      return { pool: "layers", neededPages: needed.layerPages + spare, freePages: layers };
    }
    if (needed.headPages <= heads) return null;
    return { pool: "head", neededPages: needed.headPages, freePages: heads };
  }

  /** Why a want could not be served even if nothing else were in memory, or null. */
  #unservable(adapters: readonly AdapterId[], tokens: number): string | null {
    const unknown = adapters.find((adapter) => !this.#adapters.size(adapter));
    if (unknown !== undefined) return `Cannot use adapter: it is not loaded, received ${unknown}`;
    // What is kept for good is room that there is not.
    const all = [...new Set([...adapters, ...this.#adapters.kept])];
    const { layerPages, headPages } = this.#sizeOf(all);
    const kvPages = this.#table.pagesFor(tokens);
    const what = `${tokens} tokens` + (adapters.length > 0 ? " and the adapters they use" : "");
    return this.#tooLarge({ layerPages: layerPages + kvPages, headPages }, what);
  }

  #tooLarge({ layerPages, headPages }: PageCounts, what: string): string | null {
    const layersFit = layerPages <= this.#layers.size;
    if (layersFit && headPages <= this.#heads.size) return null;
    const pool = layersFit ? "head pool" : "pool";
    const size = layersFit ? this.#heads.size : this.#layers.size;
    const pages = layersFit ? headPages : layerPages;
    return `Cannot hold ${what}: the ${pool} has ${size} pages in all, received a need of ${pages}`;
  }

  #sizeOf(adapters: readonly AdapterId[]): PageCounts {
    return sumOf(adapters.flatMap((adapter) => this.#adapters.size(adapter) ?? []));
  }
}
