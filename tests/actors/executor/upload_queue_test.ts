import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type Upload, UploadQueue } from "../../../actors/executor/upload_queue.ts";
import { adapterId, pageId } from "../../../memory/ids.ts";

const PAGE = 64;

function uploadOf(name: string, layerPages: number, copies: number, headPages: number): Upload {
  const packed = (pages: number, copies: number) =>
    pages === 0 ? null : { bytes: new SharedArrayBuffer(pages * copies * PAGE), pages, copies };
  const pages = (count: number) => Array.from({ length: count }, (_, i) => pageId(i));
  return {
    kind: "upload",
    adapter: adapterId(name),
    image: {
      layers: packed(layerPages, copies),
      head: packed(headPages, 1),
      maxRank: 1,
      moduleRanks: [],
      headRanks: [],
      dora: false,
    },
    layerPages: pages(layerPages),
    headPages: pages(headPages),
  };
}

Deno.test("slices hold every page once, in order, within their bytes, and the last one says so", () => {
  const upload = fc.record({
    layers: fc.integer({ min: 0, max: 5 }),
    copies: fc.integer({ min: 1, max: 4 }),
    head: fc.integer({ min: 0, max: 5 }),
  }).filter(({ layers, head }) => layers + head > 0);
  const budgets = fc.array(fc.integer({ min: 1, max: 12 * PAGE }), { minLength: 1 });
  fc.assert(fc.property(fc.array(upload), budgets, (uploads, budgets) => {
    const queue = new UploadQueue(PAGE);
    const expected = uploads.flatMap(({ layers, copies, head }, i) => {
      queue.push(uploadOf(`a${i}`, layers, copies, head));
      const pages = (part: string, count: number) =>
        Array.from({ length: count }, (_, page) => `a${i} ${part} ${page}`);
      return [...pages("head", head), ...pages("layers", layers * copies), `a${i} ends`];
    });
    const seen: string[] = [];
    for (let i = 0; !queue.empty; i++) {
      const bytes = budgets[i % budgets.length] ?? 1;
      const slice = queue.next(bytes);
      if (!slice) break;
      const { upload: { adapter }, part, first, pages, last } = slice;
      assertEquals(pages === 1 || pages * PAGE <= bytes, true);
      for (let page = first; page < first + pages; page++) seen.push(`${adapter} ${part} ${page}`);
      if (last) seen.push(`${adapter} ends`);
    }
    assertEquals(seen, expected);
    assertEquals(queue.next(1000), null);
  }));
});

Deno.test("an upload that names other pages than its image has is refused, and so is an empty image", () => {
  const queue = new UploadQueue(PAGE);
  const upload = uploadOf("a", 3, 2, 1);
  assertThrows(
    () => queue.push({ ...upload, layerPages: [] }),
    RangeError,
    "its image has 3 and 1 pages, received 0 and 1",
  );
  assertThrows(() => queue.push(uploadOf("b", 0, 1, 0)), RangeError, "its image is empty");
});
