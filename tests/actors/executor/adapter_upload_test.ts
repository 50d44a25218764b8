import { assert, assertEquals } from "@std/assert";
import { AdapterUpload } from "../../../actors/executor/adapter_upload.ts";
import { createPool, type Pool } from "../../../actors/executor/gpu_buffers.ts";
import { type Upload, UploadQueue } from "../../../actors/executor/upload_queue.ts";
import { Readback } from "../../../kernels/readback.ts";
import { adapterId, pageId } from "../../../memory/ids.ts";
import { PAGE_LIST_WORD } from "../../../models/adapter_image.ts";
import { testCompiler, testDevice } from "../../support/gpu.ts";
import { randomSource, shuffled } from "../../support/random.ts";

const PAGE = 4096;
const random = randomSource(11);
const device = await testDevice();

function packed(pages: number, copies: number) {
  const bytes = new SharedArrayBuffer(pages * copies * PAGE);
  new Uint32Array(bytes).forEach((_, i, words) => words[i] = Math.floor(random() * 2 ** 32));
  return { bytes, pages, copies };
}

/** Bytes of a page wherever its slab is. */
async function pageOf(pool: Pool, slabPages: number, page: number): Promise<Uint8Array> {
  const readback = await Readback.create(device, PAGE);
  const [slab, index] = page < slabPages ? [pool.pool0, page] : [pool.pool1, page - slabPages];
  return new Uint8Array(await readback.once(slab, PAGE, index * PAGE));
}

for (const sliceBytes of [PAGE, 3 * PAGE, 1000 * PAGE]) {
  Deno.test(`an image sent in slices of ${sliceBytes} bytes lies in its pages of every pool, byte for byte`, async () => {
    const layout = { pages: 20, pageBytes: PAGE, slabPages: 12 };
    const headLayout = { pages: 6, pageBytes: PAGE, slabPages: 6 };
    const layers = [0, 1, 2].map((i) => createPool(device, layout, `layer ${i}`));
    const head = [createPool(device, headLayout, "head")];
    const upload = await AdapterUpload.create(
      device,
      await testCompiler(),
      {
        bf16: false,
        int8: false,
        pagesPerBlock: 1,
        layerPages: { PAGE_VECS: PAGE / 16, SLAB_PAGES: layout.slabPages },
        headPages: { PAGE_VECS: PAGE / 16, SLAB_PAGES: headLayout.slabPages },
      },
      { layers, head },
      sliceBytes,
    );
    const image = { layers: packed(5, 3), head: packed(4, 1) };
    const command: Upload = {
      kind: "upload",
      adapter: adapterId("a"),
      image: { ...image, maxRank: 1, moduleRanks: [], headRanks: [], dora: false },
      layerPages: shuffled(random, layout.pages).slice(0, 5).map(pageId),
      headPages: shuffled(random, headLayout.pages).slice(0, 4).map(pageId),
    };
    const queue = new UploadQueue(PAGE);
    queue.push(command);
    let slices = 0;
    for (let slice = queue.next(upload.sliceBytes); slice; slice = queue.next(upload.sliceBytes)) {
      await upload.send(slice, slice.part === "layers" ? command.layerPages : command.headPages);
      slices++;
    }
    assert(slices >= Math.ceil((5 * 3 * PAGE) / sliceBytes));

    const parts = [
      { ...image.layers, pools: layers, list: command.layerPages, ...layout },
      { ...image.head, pools: head, list: command.headPages, ...headLayout },
    ];
    for (const { bytes, pools, list, slabPages } of parts) {
      for (const [copy, pool] of pools.entries()) {
        for (const [i, page] of list.entries()) {
          const expected = new Uint8Array(bytes.slice((copy * list.length + i) * PAGE)).slice(
            0,
            PAGE,
          );
          const entries = [...list, ...Array(-list.length & 3).fill(0)];
          if (i === 0) {
            expected.set(new Uint8Array(Uint32Array.from(entries).buffer), PAGE_LIST_WORD * 4);
          }
          assertEquals(await pageOf(pool, slabPages, page), expected, `copy ${copy} page ${i}`);
        }
      }
    }
  });
}
