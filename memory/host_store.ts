import type { AdapterId } from "./ids.ts";

interface Kept<Image> {
  readonly image: Image;
  readonly bytes: number;
  /** Uploads that read it. */
  uses: number;
  lastUsed: number;
}

/** Adapter images in host memory, one of each, within a bound; what falls out is read from disk again. */
export class HostStore<Image> {
  readonly limit: number;
  readonly #kept = new Map<AdapterId, Kept<Image>>();
  /** Images that are wanted together, kept or to come. */
  readonly #claimed = new Set<AdapterId>();
  #bytes = 0;
  #usedBytes = 0;
  /** Bytes that stay: uploads read them, or they are claimed. */
  #firmBytes = 0;
  #evictions = 0;

  /** `limit` in bytes, over all images. */
  constructor(limit: number) {
    if (!(limit > 0)) {
      throw new RangeError(
        `Cannot create host store: the limit must be positive, received ${limit}`,
      );
    }
    this.limit = limit;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#kept.size;
  }

  get kept(): readonly AdapterId[] {
    return [...this.#kept.keys()];
  }

  /** Images dropped to make room, since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  get(adapter: AdapterId): Image | undefined {
    return this.#kept.get(adapter)?.image;
  }

  has(adapter: AdapterId): boolean {
    return this.#kept.has(adapter);
  }

  /** Marks an image as wanted, so that it is not the next to go. */
  touch(adapter: AdapterId, tick: number): void {
    const kept = this.#kept.get(adapter);
    if (kept) kept.lastUsed = tick;
  }

  /** There is room without dropping anything. */
  hasRoom(bytes: number): boolean {
    return this.#bytes + bytes <= this.limit;
  }

  /** There is room, or there is once images that may go are dropped. */
  couldHold(bytes: number): boolean {
    return this.#firmBytes + bytes <= this.limit;
  }

  /**
   * Replaces the images that may not be dropped, even where they are not kept yet: of `groups` (bytes of each
   * image), the leading ones that fit all together beside what uploads read. Returns how many groups those are.
   */
  claim(groups: readonly ReadonlyMap<AdapterId, number>[]): number {
    this.#claimed.clear();
    this.#firmBytes = this.#usedBytes;
    let room = this.limit - this.#firmBytes;
    for (const [index, group] of groups.entries()) {
      const more = [...group].filter(([id]) => !this.#claimed.has(id) && !this.#kept.get(id)?.uses);
      room -= more.reduce((sum, [, bytes]) => sum + bytes, 0);
      if (room < 0) return index;
      for (const [id] of more) {
        this.#claimed.add(id);
        this.#firmBytes += this.#kept.get(id)?.bytes ?? 0;
      }
    }
    return groups.length;
  }

  /** Keeps an image, dropping others that may go; false, and nothing changes, where that is not enough. */
  put(adapter: AdapterId, image: Image, bytes: number, tick: number): boolean {
    if (this.#kept.has(adapter)) {
      throw new RangeError(`Cannot keep image: it is kept already, received ${adapter}`);
    }
    if (!this.couldHold(bytes)) return false;
    while (!this.hasRoom(bytes)) this.#evict(tick);
    this.#kept.set(adapter, { image, bytes, uses: 0, lastUsed: tick });
    this.#bytes += bytes;
    if (this.#claimed.has(adapter)) this.#firmBytes += bytes;
    return true;
  }

  /** Keeps an image in place while an upload reads it. */
  hold(adapter: AdapterId, tick: number): Image {
    const kept = this.#must(adapter);
    if (!this.#firm(adapter, kept)) this.#firmBytes += kept.bytes;
    if (kept.uses++ === 0) this.#usedBytes += kept.bytes;
    kept.lastUsed = tick;
    return kept.image;
  }

  /** An upload has read it. */
  letGo(adapter: AdapterId): void {
    const kept = this.#must(adapter);
    if (kept.uses === 0) {
      throw new RangeError(`Cannot let go of image: no upload reads it, received ${adapter}`);
    }
    if (--kept.uses === 0) this.#usedBytes -= kept.bytes;
    if (!this.#firm(adapter, kept)) this.#firmBytes -= kept.bytes;
  }

  /** Drops an image that no upload reads; false where one does. */
  delete(adapter: AdapterId): boolean {
    const kept = this.#kept.get(adapter);
    if (!kept) return true;
    if (kept.uses > 0) return false;
    if (this.#firm(adapter, kept)) this.#firmBytes -= kept.bytes;
    this.#kept.delete(adapter);
    this.#bytes -= kept.bytes;
    return true;
  }

  /** @throws {Error} where counts disagree, or the images together exceed the limit. */
  checkIntegrity(): void {
    let [bytes, firm] = [0, 0];
    for (const [adapter, kept] of this.#kept) {
      bytes += kept.bytes;
      if (this.#firm(adapter, kept)) firm += kept.bytes;
    }
    if (bytes === this.#bytes && firm === this.#firmBytes && bytes <= this.limit) return;
    throw new Error(
      `Cannot trust host store: ${this.#bytes} bytes, ${this.#firmBytes} of them to stay, of at most ` +
        `${this.limit}, received images of ${bytes} and ${firm}`,
    );
  }

  /** Drops the image whose bytes have lain unused most: large and long unused ones go first. */
  #evict(tick: number): void {
    let worst: AdapterId | null = null;
    let most = -1;
    for (const [adapter, kept] of this.#kept) {
      const cost = kept.bytes * (tick - kept.lastUsed + 1);
      if (cost <= most || this.#firm(adapter, kept)) continue;
      [worst, most] = [adapter, cost];
    }
    if (worst === null) throw new Error("Cannot evict image: all of them are to stay");
    this.#evictions++;
    this.delete(worst);
  }

  #firm(adapter: AdapterId, { uses }: Kept<Image>): boolean {
    return uses > 0 || this.#claimed.has(adapter);
  }

  #must(adapter: AdapterId): Kept<Image> {
    const kept = this.#kept.get(adapter);
    if (kept) return kept;
    throw new RangeError(`Cannot use image: it is not in host memory, received ${adapter}`);
  }
}
