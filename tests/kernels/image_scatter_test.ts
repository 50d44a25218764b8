import { assertEquals } from "@std/assert";
import {
  imageScatter,
  imageScatterWorkgroups,
  SCATTER_LANES,
} from "../../kernels/image_scatter/image_scatter.ts";
import { dispatch, downloadU32, upload } from "../support/gpu.ts";
import { randomSource, shuffled } from "../support/random.ts";

const PAGE_BYTES = 4096;
const PAGE_WORDS = PAGE_BYTES / 4;
const LIST_WORD = 256;
const POOL_PAGES = 24;
const SLAB_PAGES = 10;
const COPIES = 3;
const PAGES = 5;

const random = randomSource(3);
const image = Uint32Array.from(
  { length: COPIES * PAGES * PAGE_WORDS },
  () => Math.floor(random() * 2 ** 32),
);
const list = shuffled(random, POOL_PAGES).slice(0, PAGES);

/** Sends pages first .. first + count - 1 of the image, counted over all copies, to each copy's pool. */
async function scatter(pools: readonly [GPUBuffer, GPUBuffer][], first: number, count: number) {
  const staged = await upload(image.slice(first * PAGE_WORDS, (first + count) * PAGE_WORDS));
  const job = await upload(Uint32Array.of(first, count, PAGES, 0, ...list));
  for (const [copy, [pool0, pool1]] of pools.entries()) {
    const copy_index = await upload(Uint32Array.of(copy, 0, 0, 0));
    await dispatch(
      imageScatter,
      { WORKGROUP: SCATTER_LANES, PAGE_VECS: PAGE_BYTES / 16, SLAB_PAGES },
      { copy_index, job, staged, pool0, pool1 },
      // More workgroups than the slice has pages of this copy: the others must do nothing.
      imageScatterWorkgroups(PAGE_BYTES / 16, PAGES),
    );
  }
}

for (
  const cut of [[15], [1, 14], [4, 1, 10], [7, 7, 1], [2, 2, 2, 2, 2, 2, 2, 1]]
) {
  Deno.test(`image_scatter puts an image sent as slices of ${cut} pages where the list says, with the list`, async () => {
    const empty = (pages: number) => upload(new Uint32Array(pages * PAGE_WORDS).fill(7));
    const pools: [GPUBuffer, GPUBuffer][] = [];
    for (let i = 0; i < COPIES; i++) {
      pools.push([await empty(SLAB_PAGES), await empty(POOL_PAGES - SLAB_PAGES)]);
    }
    let first = 0;
    for (const count of cut) {
      await scatter(pools, first, count);
      first += count;
    }
    for (const [copy, [pool0, pool1]] of pools.entries()) {
      const expected = new Uint32Array(POOL_PAGES * PAGE_WORDS).fill(7);
      list.forEach((page, i) => {
        const from = (copy * PAGES + i) * PAGE_WORDS;
        expected.set(image.subarray(from, from + PAGE_WORDS), page * PAGE_WORDS);
      });
      // Whole vectors of four entries, the last one padded with zeros.
      expected.set([...list, 0, 0, 0], (list[0] ?? 0) * PAGE_WORDS + LIST_WORD);
      const seen = new Uint32Array(POOL_PAGES * PAGE_WORDS);
      seen.set(await downloadU32(pool0, SLAB_PAGES * PAGE_WORDS));
      seen.set(
        await downloadU32(pool1, (POOL_PAGES - SLAB_PAGES) * PAGE_WORDS),
        SLAB_PAGES * PAGE_WORDS,
      );
      assertEquals(seen, expected, `copy ${copy}`);
    }
  });
}
