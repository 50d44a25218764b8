/** Highest rank of an adapter: kernels have room for so many sums of a token, a route and a module. */
export const MAX_RANK = 256;

/**
 * An adapter as the GPU reads it: for every layer the same number of bytes, a whole number of
 * pages, cut into chunks of 1 KiB that never straddle a page.
 *
 * ```
 * chunk 0                 header: per module (LAYER_MODULES or HEAD_MODULES order) HEADER_WORDS u32
 *                         rank | dtype (0 f16, 1 bf16) | chunk of A | chunk of B | chunk of b_B or NONE
 *                         | chunk of g or NONE | scale as f32 bits | unused
 * chunks 1..              page list: u32 page ids of this image's pages in order, written when the
 *                         pages are known (they differ on every upload)
 * then per module         A  [rank][in]  16 bit, rows one after another  (embed: [vocab][rank])
 *                         B  [rank][out] 16 bit, transposed from PEFT's [out][rank]
 *                         b_B [out] f32 (lora_bias), g [out] f32 (DoRA: the magnitude m as loaded;
 *                         the GPU turns it into g = m / ||W + s B A||, of an output's weights, after
 *                         each upload; an output of embed is a column of the table)
 * ```
 * Every row is padded with zeros to a multiple of 8 elements; every matrix starts on a chunk. The page
 * list must end within the first page, so that a kernel finds any chunk from the first page's id alone: that id
 * is what the routing table carries. A module that the adapter does not touch has rank 0.
 */
export interface AdapterImage {
  /** `bytesPerLayer * layers` bytes, or null when no layer module is adapted. */
  readonly layers: PackedPages | null;
  /** One image for the head pool (embed, lm_head), or null. */
  readonly head: PackedPages | null;
  readonly maxRank: number;
  /** Highest rank of each layer module over all layers, 0 where absent: [q, k, v, o, gate, up, down]. */
  readonly moduleRanks: readonly number[];
  /** Highest rank of [embed, lm_head]. */
  readonly headRanks: readonly number[];
  /** DoRA modules exist: gains must be computed after each upload, and K > 1 is refused. */
  readonly dora: boolean;
}

/** What of an adapter does not change with where its image is: enough to plan for it without one. */
export interface AdapterShape {
  readonly rank: number;
  readonly bytes: number;
  /** Pages in every layer's pool, and in the head pool. */
  readonly layerPages: number;
  readonly headPages: number;
  readonly moduleRanks: readonly number[];
  readonly headRanks: readonly number[];
}

export function shapeOf({ layers, head, maxRank, ...ranks }: AdapterImage): AdapterShape {
  const { moduleRanks, headRanks } = ranks;
  return {
    rank: maxRank,
    bytes: (layers?.bytes.byteLength ?? 0) + (head?.bytes.byteLength ?? 0),
    layerPages: layers?.pages ?? 0,
    headPages: head?.pages ?? 0,
    moduleRanks,
    headRanks,
  };
}

export interface PackedPages {
  /** Copies (layers) one after another, each `pages * pageBytes` bytes. */
  readonly bytes: SharedArrayBuffer;
  readonly pages: number;
  readonly copies: number;
}

export const CHUNK_BYTES = 1024;
export const HEADER_WORDS = 8;
export const ABSENT = 0xffff_ffff;
/** Word of the page list's first entry within the first page. */
export const PAGE_LIST_WORD = CHUNK_BYTES / 4;

/** Page geometry: one KV block is `pagesPerBlock` pages of `pageBytes`. */
export interface PageGeometry {
  readonly pageBytes: number;
  readonly pagesPerBlock: number;
}

/** Tokens in a KV block. */
export const BLOCK_TOKENS = 16;
const LARGEST_PAGE = 65536;
const SMALLEST_PAGE = 4096;

/** Page geometry of a model: a KV block of one layer holds 16 tokens of K and V in 16 bits. */
export function pageGeometry(kvHeads: number, headDim: number): PageGeometry {
  const blockBytes = BLOCK_TOKENS * 2 * kvHeads * headDim * 2;
  const pagesPerBlock = Math.ceil(blockBytes / LARGEST_PAGE);
  const chunks = Math.ceil(blockBytes / pagesPerBlock / CHUNK_BYTES);
  return { pageBytes: Math.max(SMALLEST_PAGE, chunks * CHUNK_BYTES), pagesPerBlock };
}
