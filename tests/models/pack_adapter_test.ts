import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type AdapterImage, CHUNK_BYTES, pageGeometry } from "../../models/adapter_image.ts";
import {
  HEAD_MODULES,
  type HeadModule,
  LAYER_MODULES,
  type LayerModule,
  moduleShape,
} from "../../models/model_config.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import type { PeftModule } from "../../models/peft_adapter.ts";
import { halfValues, toHalves } from "../support/half.ts";
import { ODD_MODEL, readImage, type ReadModule } from "../support/read_image.ts";
import { randomSource } from "../support/random.ts";

const GEOMETRY = { pageBytes: 4096, pagesPerBlock: 1 };
const shape = (module: LayerModule | HeadModule) => moduleShape(ODD_MODEL, module);

interface Wish {
  readonly rank: number;
  readonly dtype: "f16" | "bf16";
  readonly bias: boolean;
  readonly magnitude: boolean;
  readonly scale: number;
}
const wish: fc.Arbitrary<Wish> = fc.record({
  rank: fc.integer({ min: 1, max: 20 }),
  dtype: fc.constantFrom("f16", "bf16"),
  bias: fc.boolean(),
  magnitude: fc.boolean(),
  scale: fc.float({ min: Math.fround(0.01), max: 64, noNaN: true }),
});

function moduleOf(module: LayerModule | HeadModule, wish: Wish, random: () => number): PeftModule {
  const [out, input] = shape(module);
  const numbers = (count: number) => Float32Array.from({ length: count }, () => random() * 4 - 2);
  const matrix = (count: number) => toHalves(numbers(count), wish.dtype).bits;
  const { rank, dtype, scale } = wish;
  const matrices = { dtype, a: matrix(rank * input), b: matrix(out * rank) };
  const vector = (wanted: boolean) => {
    const values = numbers(out);
    return wanted ? () => values : null;
  };
  const [bias, magnitude] = [vector(wish.bias), vector(wish.magnitude)];
  return { module, rank, scale, matrices: () => matrices, bias, magnitude };
}

const pack = (layers: PeftModule[][], head: PeftModule[] = [], pageBytes = GEOMETRY.pageBytes) =>
  packAdapter({ source: "adapter", layers, head, [Symbol.dispose]() {} }, ODD_MODEL, {
    ...GEOMETRY,
    pageBytes,
  });

/** What the image must say of a module, from its floats alone. */
function checkModule(read: ReadModule | null, module: PeftModule | undefined): void {
  if (!module || !read) return assertEquals(read, null);
  const [out, input] = shape(module.module);
  const { rank } = module;
  const { dtype, ...words } = module.matrices();
  assertEquals([read.rank, read.dtype, read.scale], [rank, dtype, module.scale]);
  const [a, b] = [halfValues(words.a, dtype), halfValues(words.b, dtype)];
  const grid = (rows: number, columns: number, at: (i: number, j: number) => number | undefined) =>
    Array.from({ length: rows }, (_, i) => Array.from({ length: columns }, (_, j) => at(i, j)));
  assertEquals<unknown>(
    read.a,
    module.module === "embed"
      ? grid(input, rank, (t, j) => a?.[j * input + t])
      : grid(rank, input, (j, i) => a?.[j * input + i]),
  );
  assertEquals<unknown>(read.b, grid(rank, out, (j, o) => b?.[o * rank + j]));
  assertEquals(read.bias, module.bias && [...module.bias()]);
  assertEquals(read.gain, module.magnitude && [...module.magnitude()]);
}

function checkChunks(image: AdapterImage, read: readonly (ReadModule | null)[]): void {
  const { bytes, pages, copies } = image.layers ?? image.head ??
    { bytes: null, pages: 0, copies: 1 };
  const size = (bytes?.byteLength ?? 0) / copies;
  assertEquals(size, pages * GEOMETRY.pageBytes);
  const listEnd = 1 + Math.ceil(pages * 4 / CHUNK_BYTES);
  assert(listEnd * CHUNK_BYTES <= GEOMETRY.pageBytes);
  let last = listEnd;
  for (const [start, end] of read.flatMap((m) => m?.chunks ?? []).sort(([a], [b]) => a - b)) {
    assert(start >= last, "two matrices, or a matrix and the page list, share a chunk");
    last = end;
  }
  assert(last * CHUNK_BYTES <= size);
}

const set = (names: readonly string[]) =>
  fc.tuple(...names.map(() => fc.option(wish, { nil: null, freq: 2 })));

Deno.test("packAdapter() stores every number of every module where the layout says", () => {
  fc.assert(
    fc.property(set(LAYER_MODULES), set(LAYER_MODULES), set(HEAD_MODULES), fc.nat(), (
      first,
      second,
      heads,
      seed,
    ) => {
      const random = randomSource(seed);
      const modules = <N extends LayerModule | HeadModule>(
        names: readonly N[],
        wishes: readonly (Wish | null)[],
      ) => names.flatMap((name, i) => wishes[i] ? [moduleOf(name, wishes[i], random)] : []);
      const layers = [modules(LAYER_MODULES, first), modules(LAYER_MODULES, second)];
      const head = modules(HEAD_MODULES, heads);
      const image = pack(layers, head);
      const groups = [[image.layers, layers, LAYER_MODULES], [
        image.head,
        [head],
        HEAD_MODULES,
      ]] as const;
      for (const [packed, copies, names] of groups) {
        assertEquals(packed === null, copies.flat().length === 0);
        copies.forEach((present, copy) => {
          if (!packed) return;
          const read = readImage(packed, copy, names, shape);
          names.forEach((name, i) =>
            checkModule(read[i] ?? null, present.find(({ module }) => module === name))
          );
          checkChunks({ ...image, layers: packed }, read);
        });
      }
      const highest = (name: string) =>
        Math.max(
          0,
          ...[...layers.flat(), ...head].filter((m) => m.module === name).map((m) => m.rank),
        );
      assertEquals(image.moduleRanks, LAYER_MODULES.map(highest));
      assertEquals(image.headRanks, HEAD_MODULES.map(highest));
      assertEquals(image.maxRank, Math.max(...image.moduleRanks, ...image.headRanks));
      assertEquals(image.dora, [...layers.flat(), ...head].some((m) => m.magnitude !== null));
    }),
    { numRuns: 40 },
  );
});

Deno.test("packAdapter() gives a page list of more than one chunk the room that it needs", () => {
  const wide = { ...ODD_MODEL, intermediateSize: 1000 };
  const rank = 256;
  const names = ["gate", "up", "down"] as const;
  const layer = names.map((module): PeftModule => {
    const [out, input] = moduleShape(wide, module);
    const matrices = {
      dtype: "f16",
      a: new Uint16Array(rank * input).fill(1),
      b: new Uint16Array(out * rank).fill(2),
    } as const;
    return { module, rank, scale: 1, matrices: () => matrices, bias: null, magnitude: null };
  });
  const adapter = { source: "adapter", layers: [layer, []], head: [], [Symbol.dispose]() {} };
  const image = packAdapter(adapter, wide, GEOMETRY);
  assert((image.layers?.pages ?? 0) > CHUNK_BYTES / 4);
  const read = image.layers &&
    readImage(image.layers, 0, LAYER_MODULES, (module) => moduleShape(wide, module));
  checkChunks(image, read ?? []);
});

Deno.test("packAdapter() fills the pages that the first one can list, and refuses one more", () => {
  const wide = { ...ODD_MODEL, intermediateSize: 4096 };
  const shape = (module: LayerModule | HeadModule) => moduleShape(wide, module);
  const packed = (rank: number) => {
    const layer = (["gate", "down"] as const).map((module): PeftModule => {
      const [out, input] = shape(module);
      const a = Float32Array.from({ length: rank * input }, (_, i) => i % 2039);
      const b = Float32Array.from({ length: out * rank }, (_, i) => -(i % 2039));
      const [aWords, bWords] = [toHalves(a, "f16").bits, toHalves(b, "f16").bits];
      const matrices = () => ({ dtype: "f16", a: aWords, b: bWords }) as const;
      return { module, rank, scale: 1, matrices, bias: null, magnitude: null };
    });
    const adapter = { source: "adapter", layers: [layer], head: [], [Symbol.dispose]() {} };
    return packAdapter(adapter, wide, GEOMETRY).layers;
  };
  // 4 + 16 * 189 + 2 * 15 chunks are 765 pages of 4 KiB; 768 entries of the list fill the first page.
  const layers = packed(189);
  assert(layers);
  assertEquals(layers.pages, 765);
  const [gate, down] = readImage(layers, 0, LAYER_MODULES, shape).filter((module) => module);
  assert(gate && down);
  assertEquals(gate.chunks[0]?.[0], 4, "the header and three chunks of list lie before");
  for (const [module, [out, input]] of [[gate, shape("gate")], [down, shape("down")]] as const) {
    const a = (j: number) => Array.from({ length: input }, (_, i) => (j * input + i) % 2039);
    const b = (j: number) => Array.from({ length: out }, (_, o) => -((o * 189 + j) % 2039));
    for (const j of [0, 77, 188]) assertEquals([module.a[j], module.b[j]], [a(j), b(j)]);
  }
  assertThrows(() => packed(190), RangeError, "than the first page can list, 768; received 769");
});

Deno.test("an adapter takes the pages of its own bytes and one more at most, whatever ranks there are beside it (SGLang #31305, #3647)", () => {
  const large = { ...ODD_MODEL, ...{ layers: 1, hiddenSize: 4096, heads: 32, kvHeads: 8 } };
  const config = { ...large, headDim: 128, intermediateSize: 14336 };
  const { pageBytes, pagesPerBlock } = pageGeometry(config.kvHeads, config.headDim);
  const sized = (ranks: Partial<Record<LayerModule, number>>) => {
    let bytes = 0;
    const layer = LAYER_MODULES.flatMap((module): PeftModule[] => {
      const rank = ranks[module] ?? 0;
      const [out, input] = moduleShape(config, module);
      const [a, b] = [new Uint16Array(rank * input), new Uint16Array(out * rank)];
      bytes += a.byteLength + b.byteLength;
      const matrices = { dtype: "f16", a, b } as const;
      const plain = { scale: 1, matrices: () => matrices, bias: null, magnitude: null };
      return rank > 0 ? [{ module, rank, ...plain }] : [];
    });
    const adapter = { source: "adapter", layers: [layer], head: [], [Symbol.dispose]() {} };
    const image = packAdapter(adapter, config, { pageBytes, pagesPerBlock });
    return { pages: image.layers?.pages ?? 0, full: Math.ceil(bytes / pageBytes) };
  };
  const attention = (rank: number) => ({ q: rank, k: rank, v: rank, o: rank });
  const uneven = { q: 64, k: 8, v: 1, down: 16 };
  const mixed = [1, 8, 16, 64, 256].map(attention).concat([attention(8)]);
  for (const { pages, full } of [...mixed, uneven].map(sized)) {
    assert(pages === full || pages === full + 1, `${pages} pages for ${full}`);
  }
  assert(sized(attention(8)).pages * 7 < sized(attention(64)).pages, "an eighth, and the header");
});

Deno.test("packAdapter() refuses an image whose page list outgrows its first page", () => {
  const wish: Wish = { rank: 256, dtype: "f16", bias: false, magnitude: false, scale: 1 };
  const all = LAYER_MODULES.map((name) => moduleOf(name, wish, () => 0));
  assertThrows(() => pack([all, []], [], 1024), RangeError, "adapter: it takes more pages a layer");
});
