import {
  ABSENT,
  type AdapterImage,
  CHUNK_BYTES,
  HEADER_WORDS,
  type PackedPages,
  type PageGeometry,
} from "./adapter_image.ts";
import { HEAD_MODULES, LAYER_MODULES, type ModelConfig, moduleShape } from "./model_config.ts";
import type { PeftAdapter, PeftModule } from "./peft_adapter.ts";

/** Where a module's matrices lie in its copy of the image; chunks. */
interface Placed {
  readonly module: PeftModule;
  readonly index: number;
  readonly out: number;
  readonly input: number;
  readonly a: number;
  readonly b: number;
  readonly bias: number;
  readonly gain: number;
}

/**
 * Packs an adapter as models/adapter_image.ts describes.
 * @throws {RangeError} when the page list would not fit into the first page, and what reading the matrices throws.
 */
export function packAdapter(
  adapter: PeftAdapter,
  config: ModelConfig,
  { pageBytes }: PageGeometry,
): AdapterImage {
  const adapted = adapter.layers.flat();
  const ranks = (modules: readonly PeftModule[], names: readonly string[]) =>
    names.map((name) =>
      modules.filter(({ module }) => module === name).reduce(
        (most, { rank }) => Math.max(most, rank),
        0,
      )
    );
  const moduleRanks = ranks(adapted, LAYER_MODULES);
  const headRanks = ranks(adapter.head, HEAD_MODULES);
  const pack = (copies: readonly (readonly PeftModule[])[], names: readonly string[]) =>
    packCopies(copies, names, config, pageBytes, adapter.source);
  return {
    layers: adapted.length === 0 ? null : pack(adapter.layers, LAYER_MODULES),
    head: adapter.head.length === 0 ? null : pack([adapter.head], HEAD_MODULES),
    maxRank: Math.max(...moduleRanks, ...headRanks),
    moduleRanks,
    headRanks,
    dora: [...adapted, ...adapter.head].some((module) => module.magnitude !== null),
  };
}

function packCopies(
  copies: readonly (readonly PeftModule[])[],
  names: readonly string[],
  config: ModelConfig,
  pageBytes: number,
  source: string,
): PackedPages {
  let listChunks = 1;
  let layouts = copies.map((modules) => layOut(modules, names, config, 1 + listChunks));
  const pagesOf = () =>
    Math.ceil((Math.max(...layouts.map(({ end }) => end)) * CHUNK_BYTES) / pageBytes);
  while (pagesOf() * 4 > listChunks * CHUNK_BYTES) {
    listChunks = Math.ceil((pagesOf() * 4) / CHUNK_BYTES);
    layouts = copies.map((modules) => layOut(modules, names, config, 1 + listChunks));
  }
  const pages = pagesOf();
  if ((1 + listChunks) * CHUNK_BYTES > pageBytes) {
    throw new RangeError(
      `Cannot load adapter: ${source}: it takes more pages a layer than the first page can list, ` +
        `${(pageBytes - CHUNK_BYTES) / 4}; received ${pages}`,
    );
  }
  const bytes = new SharedArrayBuffer(pages * pageBytes * copies.length);
  layouts.forEach(({ placed }, copy) => {
    for (const module of placed) {
      writeModule(bytes, copy * pages * pageBytes, module);
    }
  });
  return { bytes, pages, copies: copies.length };
}

const padded = (length: number) => Math.ceil(length / 8) * 8;
const chunksOf = (bytes: number) => Math.ceil(bytes / CHUNK_BYTES);

function layOut(
  modules: readonly PeftModule[],
  names: readonly string[],
  config: ModelConfig,
  first: number,
): { placed: Placed[]; end: number } {
  let next = first;
  const take = (bytes: number): number => {
    const chunk = next;
    next += chunksOf(bytes);
    return chunk;
  };
  const placed = modules.map((module): Placed => {
    const [out, input] = moduleShape(config, module.module);
    const { rank } = module;
    // embed keeps a row of A a token, so that a lookup reads one row.
    const aElements = module.module === "embed" ? input * padded(rank) : rank * padded(input);
    return {
      module,
      index: names.indexOf(module.module),
      out,
      input,
      a: take(aElements * 2),
      b: take(rank * padded(out) * 2),
      bias: module.bias ? take(out * 4) : ABSENT,
      gain: module.magnitude ? take(out * 4) : ABSENT,
    };
  });
  return { placed, end: next };
}

function writeModule(
  image: SharedArrayBuffer,
  start: number,
  { module, index, out, input, ...placed }: Placed,
): void {
  const { rank, scale } = module;
  const { dtype, a, b } = module.matrices();
  const header = new DataView(image, start + index * HEADER_WORDS * 4, HEADER_WORDS * 4);
  [rank, Number(dtype === "bf16"), placed.a, placed.b, placed.bias, placed.gain].forEach((
    word,
    i,
  ) => header.setUint32(i * 4, word, true));
  header.setFloat32(24, scale, true);

  const rows = (chunk: number, count: number, length: number) =>
    new Uint16Array(image, start + chunk * CHUNK_BYTES, count * padded(length));
  if (module.module === "embed") transpose(a, rows(placed.a, input, rank), rank, input);
  else {
    const target = rows(placed.a, rank, input);
    for (let j = 0; j < rank; j++) {
      target.set(a.subarray(j * input, (j + 1) * input), j * padded(input));
    }
  }
  // PEFT stores B [out][rank]; the kernels read it by rank.
  transpose(b, rows(placed.b, rank, out), out, rank);
  const vector = (chunk: number, values: PeftModule["bias"]) => {
    if (values) new Float32Array(image, start + chunk * CHUNK_BYTES, out).set(values());
  };
  vector(placed.bias, module.bias);
  vector(placed.gain, module.magnitude);
}

/** Columns that are moved together: each is written to a line of its own. */
const TOGETHER = 8;

/** `[rows][columns]` to `[columns][rows]`, the new rows padded. */
function transpose(from: Uint16Array, to: Uint16Array, rows: number, columns: number): void {
  const stride = padded(rows);
  for (let first = 0; first < columns; first += TOGETHER) {
    const last = Math.min(columns, first + TOGETHER);
    for (let i = 0; i < rows; i++) {
      for (let j = first; j < last; j++) to[j * stride + i] = from[i * columns + j] ?? 0;
    }
  }
}
