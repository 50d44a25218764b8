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
  #bytes = 0;
  #usedBytes = 0;
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

  /** There is room, or there is once images that no upload reads are dropped. */
  couldHold(bytes: number): boolean {
    return this.#usedBytes + bytes <= this.limit;
  }

  /** Keeps an image, dropping others that no upload reads; false, and nothing changes, where that is not enough. */
  put(adapter: AdapterId, image: Image, bytes: number, tick: number): boolean {
    if (this.#kept.has(adapter)) {
      throw new RangeError(`Cannot keep image: it is kept already, received ${adapter}`);
    }
    if (!this.couldHold(bytes)) return false;
    while (!this.hasRoom(bytes)) this.#evict(tick);
    this.#kept.set(adapter, { image, bytes, uses: 0, lastUsed: tick });
    this.#bytes += bytes;
    return true;
  }

  /** Keeps an image in place while an upload reads it. */
  hold(adapter: AdapterId, tick: number): Image {
    const kept = this.#must(adapter);
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
  }

  /** Drops an image that no upload reads; false where one does. */
  delete(adapter: AdapterId): boolean {
    const kept = this.#kept.get(adapter);
    if (!kept) return true;
    if (kept.uses > 0) return false;
    this.#kept.delete(adapter);
    this.#bytes -= kept.bytes;
    return true;
  }

  /** @throws {Error} where counts disagree, or the images together exceed the limit. */
  checkIntegrity(): void {
    let [bytes, used] = [0, 0];
    for (const kept of this.#kept.values()) {
      bytes += kept.bytes;
      if (kept.uses > 0) used += kept.bytes;
    }
    if (bytes === this.#bytes && used === this.#usedBytes && bytes <= this.limit) return;
    throw new Error(
      `Cannot trust host store: ${this.#bytes} bytes, ${this.#usedBytes} of them read, of at most ` +
        `${this.limit}, received images of ${bytes} and ${used}`,
    );
  }

  /** Drops the image whose bytes have lain unused most: large and long unused ones go first. */
  #evict(tick: number): void {
    let worst: AdapterId | null = null;
    let most = -1;
    for (const [adapter, { bytes, uses, lastUsed }] of this.#kept) {
      const cost = bytes * (tick - lastUsed + 1);
      if (uses > 0 || cost <= most) continue;
      [worst, most] = [adapter, cost];
    }
    if (worst === null) throw new Error("Cannot evict image: all are being uploaded");
    this.#evictions++;
    this.delete(worst);
  }

  #must(adapter: AdapterId): Kept<Image> {
    const kept = this.#kept.get(adapter);
    if (kept) return kept;
    throw new RangeError(`Cannot use image: it is not in host memory, received ${adapter}`);
  }
}
