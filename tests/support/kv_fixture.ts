import { BLOCK_TOKENS, pageGeometry } from "../../models/adapter_image.ts";
import { toHalves } from "./half.ts";
import { randomFloats, shuffled } from "./random.ts";

/** Shapes of an attention layer. */
export interface AttentionShape {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Keys and values of one sequence, [position][kvHeads][headDim], as the 16 bits in the pool stand for. */
export interface KeysValues {
  readonly length: number;
  readonly keys: Float64Array;
  readonly values: Float64Array;
}

export interface KvFixture {
  readonly slabs: readonly [Uint32Array<ArrayBuffer>, Uint32Array<ArrayBuffer>];
  readonly sequences: readonly KeysValues[];
  readonly blockTables: readonly (readonly number[])[];
  readonly constants: { PAGES_PER_BLOCK: number; PAGE_VECS: number; SLAB_PAGES: number };
}

/** Two f16 NaNs: what a kernel reads where nothing was written. */
const POISON = 0x7e00_7e00;

/** Random sequences in scattered pages of two slabs; all else in the pool is NaN. */
export function kvFixture(
  random: () => number,
  shape: AttentionShape,
  lengths: readonly number[],
): KvFixture {
  const { pageBytes, pagesPerBlock } = pageGeometry(shape.kvHeads, shape.headDim);
  const blocks = lengths.map((length) => Math.ceil(length / BLOCK_TOKENS));
  const pages = blocks.reduce((sum, count) => sum + count * pagesPerBlock, 0) + 6;
  const free = shuffled(random, pages);
  const pool = new Uint16Array(new Uint32Array((pages * pageBytes) / 4).fill(POISON).buffer);
  const blockTables = blocks.map((count) => free.splice(0, count * pagesPerBlock));
  const row = shape.kvHeads * shape.headDim;
  const sequences = lengths.map((length, s) => {
    const half = (part: number) => {
      const { bits, values } = toHalves(randomFloats(random, length * row, 2), "f16");
      bits.forEach((bit, i) => {
        const position = Math.floor(i / row);
        const head = part * shape.kvHeads + Math.floor((i % row) / shape.headDim);
        const inBlock = (head * BLOCK_TOKENS + (position % BLOCK_TOKENS)) * shape.headDim +
          (i % shape.headDim);
        const entry = Math.floor(position / BLOCK_TOKENS) * pagesPerBlock +
          Math.floor((inBlock * 2) / pageBytes);
        const page = blockTables[s]?.[entry] ?? 0;
        pool[(page * pageBytes) / 2 + (inBlock % (pageBytes / 2))] = bit;
      });
      return values;
    };
    return { length, keys: half(0), values: half(1) };
  });
  const slabPages = Math.floor(pages / 2);
  const words = new Uint32Array(pool.buffer);
  const cut = (slabPages * pageBytes) / 4;
  return {
    slabs: [words.slice(0, cut), words.slice(cut)],
    sequences,
    blockTables,
    constants: {
      PAGES_PER_BLOCK: pagesPerBlock,
      PAGE_VECS: pageBytes / 16,
      SLAB_PAGES: slabPages,
    },
  };
}
