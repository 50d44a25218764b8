import type { PageId, RequestId } from "./ids.ts";
import type { PagePool } from "./page_pool.ts";

/** How KV blocks lie in pages; plain numbers, the model's loader knows them. */
export interface BlockGeometry {
  readonly blockTokens: number;
  readonly pagesPerBlock: number;
}

/** Which pages hold each sequence's KV: `pagesPerBlock` pages for every `blockTokens` tokens, in order. */
export class PageTable {
  readonly #pool: PagePool;
  readonly #geometry: BlockGeometry;
  readonly #sequences = new Map<RequestId, PageId[]>();
  #pages = 0;

  constructor(pool: PagePool, geometry: BlockGeometry) {
    this.#pool = pool;
    this.#geometry = geometry;
  }

  /** Pages held by all sequences together, a shared one once for each. */
  get pages(): number {
    return this.#pages;
  }

  /** Pages that `tokens` tokens of one sequence fill. */
  pagesFor(tokens: number): number {
    return Math.ceil(tokens / this.#geometry.blockTokens) * this.#geometry.pagesPerBlock;
  }

  /** Tokens that `pages` pages of one sequence hold. */
  tokensIn(pages: number): number {
    return Math.floor(pages / this.#geometry.pagesPerBlock) * this.#geometry.blockTokens;
  }

  pagesOf(request: RequestId): readonly PageId[] {
    return this.#sequences.get(request) ?? [];
  }

  /** Pages that a sequence lacks to hold `tokens` tokens. */
  missing(request: RequestId, tokens: number): number {
    return Math.max(0, this.pagesFor(tokens) - this.pagesOf(request).length);
  }

  /** Begins a sequence's block table with pages that others use too. */
  adopt(request: RequestId, pages: readonly PageId[]): void {
    if (pages.length === 0) return;
    if (this.#sequences.has(request)) {
      throw new RangeError(`Cannot adopt pages: the sequence has some, received ${request}`);
    }
    this.#pool.retain(pages);
    this.#sequences.set(request, [...pages]);
    this.#pages += pages.length;
  }

  /** Extends a sequence to hold `tokens` tokens; returns the pages added, or null and nothing taken. */
  grow(request: RequestId, tokens: number): PageId[] | null {
    const added = this.#pool.allocate(this.missing(request, tokens));
    if (!added) return null;
    const pages = this.#sequences.get(request);
    if (pages) pages.push(...added);
    else this.#sequences.set(request, [...added]);
    this.#pages += added.length;
    return added;
  }

  /** Gives back all pages of a sequence; one without pages is left as it is. */
  release(request: RequestId): void {
    const pages = this.#sequences.get(request);
    if (!pages) return;
    this.#sequences.delete(request);
    this.#pages -= pages.length;
    this.#pool.release(pages);
  }

  /** The pages of each sequence, for integrity checks. */
  owners(): Iterable<readonly PageId[]> {
    return this.#sequences.values();
  }
}
