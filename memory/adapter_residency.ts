import { type AdapterId, type PageId, type RequestId, requestId } from "./ids.ts";
import { largestOf, type PageCounts, sumOf } from "./page_counts.ts";
import type { PagePool } from "./page_pool.ts";

/** Where an adapter lies; the first page of each list is the one that kernels are told. */
export interface AdapterPlace {
  readonly layerPages: readonly PageId[];
  readonly headPages: readonly PageId[];
}

interface Resident extends AdapterPlace {
  /** Its image is still being copied there: the pages are nobody else's, whoever pins or forgets it. */
  arriving: boolean;
  pins: number;
  lastUsed: number;
}

/** Pins the adapters that are kept, in place of a request. */
const KEEPER = requestId("(kept)");

/** Which adapters are on the GPU, in which pages, and for which requests they must stay there. */
export class AdapterResidency {
  readonly #layers: PagePool;
  readonly #heads: PagePool;
  readonly #sizes = new Map<AdapterId, PageCounts>();
  readonly #residents = new Map<AdapterId, Resident>();
  readonly #pinned = new Map<RequestId, Set<AdapterId>>();
  /** Not to go once they are there. */
  readonly #kept = new Set<AdapterId>();
  /** To be dropped as soon as nothing keeps them. */
  readonly #forgotten = new Set<AdapterId>();
  #idle: PageCounts = { layerPages: 0, headPages: 0 };
  #evictions = 0;
  #listed: readonly AdapterId[] | null = null;

  constructor(layers: PagePool, heads: PagePool) {
    this.#layers = layers;
    this.#heads = heads;
  }

  /** Makes an adapter known; it must not be resident with another size. */
  add(adapter: AdapterId, size: PageCounts): void {
    this.#forgotten.delete(adapter);
    this.#sizes.set(adapter, size);
  }

  /** Makes an adapter unknown: at once, or when its last request and its upload have ended. */
  forget(adapter: AdapterId): void {
    this.unkeep(adapter);
    const resident = this.#residents.get(adapter);
    if (resident && !isIdle(resident)) return void this.#forgotten.add(adapter);
    if (resident) this.#drop(adapter, resident);
    this.#sizes.delete(adapter);
    this.#forgotten.delete(adapter);
  }

  /** Lets an adapter go for nobody, from when it is there. */
  keep(adapter: AdapterId): void {
    this.#kept.add(adapter);
    if (this.#residents.has(adapter)) this.pin(adapter, KEEPER);
  }

  unkeep(adapter: AdapterId): void {
    this.#kept.delete(adapter);
    this.unpin(adapter, KEEPER);
  }

  /** The adapters kept, wherever they are now. */
  get kept(): ReadonlySet<AdapterId> {
    return this.#kept;
  }

  /** The largest adapter known that is none of these, pool by pool. */
  largestBeside(adapters: ReadonlySet<AdapterId>): PageCounts {
    const others = this.#sizes.entries().filter(([adapter]) => !adapters.has(adapter));
    return largestOf(others.map(([, size]) => size));
  }

  /** Pages of an adapter wherever it is; undefined where it was never added. */
  size(adapter: AdapterId): PageCounts | undefined {
    return this.#sizes.get(adapter);
  }

  /** Pages of a resident adapter; undefined where it is not resident. */
  place(adapter: AdapterId): AdapterPlace | undefined {
    return this.#residents.get(adapter);
  }

  /** Adapters evicted to make room, since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  /** Its image is not all there yet: no step may use it. */
  isArriving(adapter: AdapterId): boolean {
    return this.#residents.get(adapter)?.arriving ?? false;
  }

  /** Pages that will be idle when what is on its way has arrived. */
  get arrivingIdle(): PageCounts {
    return pagesOf([...this.#residents.values()].filter((r) => r.arriving && r.pins === 0));
  }

  /** Pages of adapters that are there, that no request has pinned, and that were last used before `before`. */
  idle(before = Infinity): PageCounts {
    if (before === Infinity) return this.#idle;
    return pagesOf([...this.#residents.values()].filter((r) => isIdle(r) && r.lastUsed < before));
  }

  /** Adapters that are there, all of them; the same array until it changes. */
  get residents(): readonly AdapterId[] {
    const there = () => this.#residents.entries().filter(([, { arriving }]) => !arriving);
    return this.#listed ??= [...there().map(([adapter]) => adapter)];
  }

  /** How many are on their way. */
  get arriving(): number {
    return this.#residents.size - this.residents.length;
  }

  /** Marks an adapter as just used, so that it is not the next to go. */
  touch(adapter: AdapterId, tick: number): void {
    const resident = this.#residents.get(adapter);
    if (resident) resident.lastUsed = tick;
  }

  /** Gives an adapter pages, unpinned and arriving; null, and nothing taken, where too few are free. */
  bringIn(adapter: AdapterId, tick: number): AdapterPlace | null {
    const size = this.#sizes.get(adapter);
    if (!size || this.#residents.has(adapter)) {
      throw new RangeError(
        `Cannot bring in adapter: it must be known and not resident, received ${adapter}`,
      );
    }
    if (size.headPages > this.#heads.free) return null;
    const layerPages = this.#layers.allocate(size.layerPages);
    if (!layerPages) return null;
    const headPages = this.#heads.allocate(size.headPages) ?? [];
    const resident = { layerPages, headPages, arriving: true, pins: 0, lastUsed: tick };
    this.#residents.set(adapter, resident);
    if (this.#kept.has(adapter)) this.pin(adapter, KEEPER);
    return resident;
  }

  /** The whole image is in its pages, or follows before any step that is sent from now on. */
  arrived(adapter: AdapterId, tick: number): void {
    const resident = this.#resident(adapter);
    if (!resident.arriving) {
      throw new RangeError(`Cannot end upload: the adapter was not arriving, received ${adapter}`);
    }
    resident.arriving = false;
    this.#listed = null;
    resident.lastUsed = tick;
    this.#rest(adapter, resident);
  }

  /** Keeps a resident adapter in place for a request; false where it already was. */
  pin(adapter: AdapterId, request: RequestId): boolean {
    const resident = this.#resident(adapter);
    const mine = this.#pinned.get(request) ?? new Set();
    if (mine.has(adapter)) return false;
    this.#pinned.set(request, mine.add(adapter));
    if (isIdle(resident)) this.#addIdle(resident, -1);
    resident.pins++;
    return true;
  }

  unpin(adapter: AdapterId, request: RequestId): void {
    const mine = this.#pinned.get(request);
    if (!mine?.delete(adapter)) return;
    if (mine.size === 0) this.#pinned.delete(request);
    const resident = this.#resident(adapter);
    resident.pins--;
    this.#rest(adapter, resident);
  }

  /** Unpins all adapters of a request; they stay where they are until pages are short. */
  unpinAll(request: RequestId, tick: number): void {
    for (const adapter of [...this.#pinned.get(request) ?? []]) {
      this.touch(adapter, tick);
      this.unpin(adapter, request);
    }
  }

  /**
   * Evicts idle adapters, of those last used before `before`, until both pools have `needed` pages free;
   * false, and nothing evicted, if they cannot.
   */
  makeRoom(needed: PageCounts, tick: number, before = Infinity): boolean {
    const idle = this.idle(before);
    const layerShort = () => needed.layerPages - this.#layers.free;
    const headShort = () => needed.headPages - this.#heads.free;
    if (layerShort() > idle.layerPages || headShort() > idle.headPages) return false;
    while (layerShort() > 0) this.#evict(this.#worst("layerPages", tick, before));
    while (headShort() > 0) this.#evict(this.#worst("headPages", tick, before));
    return true;
  }

  /** When the idle adapter whose layer pages go next was last used, before `before`; null where there is none. */
  idleSince(tick: number, before: number): number | null {
    if (this.idle(before).layerPages === 0) return null;
    return this.#residents.get(this.#worst("layerPages", tick, before))?.lastUsed ?? null;
  }

  /** @throws {Error} where counts disagree; the page pools check the pages themselves. */
  checkIntegrity(): void {
    const pins = new Map<AdapterId, number>();
    for (const adapters of this.#pinned.values()) {
      for (const adapter of adapters) pins.set(adapter, (pins.get(adapter) ?? 0) + 1);
    }
    for (const [adapter, resident] of this.#residents) {
      const size = this.#sizes.get(adapter);
      const whole = size?.layerPages === resident.layerPages.length &&
        size.headPages === resident.headPages.length;
      if (!whole || resident.pins !== (pins.get(adapter) ?? 0)) {
        throw new Error(`Cannot trust residency: pages or pins disagree, received ${adapter}`);
      }
      pins.delete(adapter);
      if (isIdle(resident) && this.#forgotten.has(adapter)) {
        throw new Error(`Cannot trust residency: forgotten but there, received ${adapter}`);
      }
    }
    const idle = pagesOf([...this.#residents.values()].filter(isIdle));
    if (pins.size > 0) {
      throw new Error(`Cannot trust residency: pinned but gone, received ${[...pins.keys()]}`);
    }
    const words = ({ layerPages, headPages }: PageCounts) => `${layerPages} + ${headPages}`;
    if (words(this.#idle) !== words(idle)) {
      throw new Error(
        `Cannot trust residency: ${words(this.#idle)} pages count as idle, received ${words(idle)}`,
      );
    }
  }

  /** The pages of each resident adapter, for integrity checks. */
  owners(pool: keyof AdapterPlace): (readonly PageId[])[] {
    return [...this.#residents.values()].map((resident) => resident[pool]);
  }

  /** The idle adapter whose pages have lain unused most: page-ticks, so large and long unused ones go first. */
  #worst(pool: keyof AdapterPlace, tick: number, before: number): AdapterId {
    let worst: AdapterId | null = null;
    let most = -1;
    for (const [adapter, resident] of this.#residents) {
      const pages = resident[pool].length;
      if (!isIdle(resident) || pages === 0 || resident.lastUsed >= before) continue;
      const cost = pages * (tick - resident.lastUsed + 1);
      if (cost > most) [worst, most] = [adapter, cost];
    }
    if (worst === null) throw new Error(`Cannot evict: no idle adapter has ${pool}`);
    return worst;
  }

  #evict(adapter: AdapterId): void {
    this.#evictions++;
    this.#drop(adapter, this.#resident(adapter));
  }

  /** Something that kept it in place has ended. */
  #rest(adapter: AdapterId, resident: Resident): void {
    if (!isIdle(resident)) return;
    this.#addIdle(resident, 1);
    if (this.#forgotten.has(adapter)) this.forget(adapter);
  }

  /** Frees the pages of an idle adapter. */
  #drop(adapter: AdapterId, resident: Resident): void {
    this.#residents.delete(adapter);
    this.#listed = null;
    this.#addIdle(resident, -1);
    this.#layers.release(resident.layerPages);
    this.#heads.release(resident.headPages);
  }

  #resident(adapter: AdapterId): Resident {
    const resident = this.#residents.get(adapter);
    if (!resident) throw new RangeError(`Cannot use adapter: not resident, received ${adapter}`);
    return resident;
  }

  #addIdle(place: AdapterPlace, sign: 1 | -1): void {
    this.#idle = {
      layerPages: this.#idle.layerPages + sign * place.layerPages.length,
      headPages: this.#idle.headPages + sign * place.headPages.length,
    };
  }
}

const isIdle = ({ arriving, pins }: Resident): boolean => !arriving && pins === 0;

const pagesOf = (places: readonly AdapterPlace[]): PageCounts =>
  sumOf(places.map(({ layerPages, headPages }) => ({
    layerPages: layerPages.length,
    headPages: headPages.length,
  })));
