import { type PageId, pageId } from "./ids.ts";

/** Page numbers 0 .. size - 1, each free or referenced by one or more owners. */
export class PagePool {
  readonly size: number;
  /** Owners of each page; more than one once sequences share a prefix. */
  readonly #references: Uint32Array;
  readonly #free: PageId[];

  constructor(size: number) {
    if (!Number.isSafeInteger(size) || size < 0) {
      throw new RangeError(
        `Cannot create page pool: size must be a whole number of pages, received ${size}`,
      );
    }
    this.size = size;
    this.#references = new Uint32Array(size);
    this.#free = Array.from({ length: size }, (_, i) => pageId(size - 1 - i));
  }

  get free(): number {
    return this.#free.length;
  }

  /** Takes `count` free pages, each with one reference; null, and nothing taken, where there are fewer. */
  allocate(count: number): PageId[] | null {
    if (count > this.#free.length) return null;
    const pages = this.#free.splice(this.#free.length - count, count).reverse();
    for (const page of pages) this.#references[page] = 1;
    return pages;
  }

  /** Adds an owner to pages that have one already. */
  retain(pages: readonly PageId[]): void {
    for (const page of pages) this.#references[page] = this.#owned(page, "retain") + 1;
  }

  /** Takes one reference from each page; a page without any is free again. */
  release(pages: readonly PageId[]): void {
    for (const page of pages) {
      const left = this.#owned(page, "release") - 1;
      this.#references[page] = left;
      if (left === 0) this.#free.push(page);
    }
  }

  references(page: PageId): number {
    return this.#references[page] ?? 0;
  }

  /** @throws {Error} unless each page is either free or referenced as often as `owners` name it. */
  checkIntegrity(owners: Iterable<readonly PageId[]>): void {
    const counted = new Uint32Array(this.size);
    for (const pages of owners) {
      for (const page of pages) counted[page] = (counted[page] ?? 0) + 1;
    }
    for (let page = 0; page < this.size; page++) {
      if (counted[page] !== this.#references[page]) {
        throw new Error(
          `Cannot trust page pool: page ${page} has ${this.#references[page]} references, ` +
            `received ${counted[page]} owners`,
        );
      }
    }
    const free = new Set(this.#free);
    const unowned = counted.reduce((sum, owners) => sum + (owners === 0 ? 1 : 0), 0);
    const listed = this.#free.every((page) => counted[page] === 0);
    if (!listed || free.size !== this.#free.length || free.size !== unowned) {
      throw new Error(
        `Cannot trust page pool: ${unowned} pages have no owner, ` +
          `received a free list of ${this.#free.length} (${free.size} different ones)`,
      );
    }
  }

  #owned(page: PageId, action: string): number {
    const references = this.#references[page];
    if (!references) {
      throw new RangeError(
        `Cannot ${action} page: it must be a page in use of ${this.size}, received ${page}`,
      );
    }
    return references;
  }
}
