import { ABSENT, CHUNK_BYTES, HEADER_WORDS, PAGE_LIST_WORD } from "../../models/adapter_image.ts";
import { toHalves } from "./half.ts";
import { randomFloats } from "./random.ts";

/** One adapted matrix with known float values, for tests of kernels that read images from the pool. */
export interface ModuleFixture {
  readonly rank: number;
  readonly out: number;
  readonly input: number;
  readonly scale: number;
  readonly dtype: "f16" | "bf16";
  /** [rank][input] (embed: [vocab][rank], `input` is then the vocabulary) and [rank][out]. */
  readonly a: Float64Array;
  readonly b: Float64Array;
  readonly bias: Float64Array | null;
  readonly gain: Float64Array | null;
}

export interface ModuleOptions {
  readonly bias?: boolean;
  readonly gain?: boolean;
  readonly dtype?: "f16" | "bf16";
  readonly scale?: number;
}

export function randomModule(
  random: () => number,
  rank: number,
  out: number,
  input: number,
  options: ModuleOptions = {},
): ModuleFixture {
  const dtype = options.dtype ?? "f16";
  const values = (count: number) => toHalves(randomFloats(random, count), dtype).values;
  return {
    rank,
    out,
    input,
    scale: Math.fround(options.scale ?? 0.25 + random()),
    dtype,
    a: values(rank * input),
    b: values(rank * out),
    bias: options.bias ? Float64Array.from(randomFloats(random, out)) : null,
    gain: options.gain ? Float64Array.from(randomFloats(random, out), (g) => 1.5 + g) : null,
  };
}

/**
 * Writes an image of `modules` (null: not adapted) into `pool` (u32 words) at the pages that `take` hands
 * out, and returns its pages. An independent reading of models/adapter_image.ts, not the product's packer.
 */
export function writeImage(
  pool: Uint32Array,
  pageBytes: number,
  take: () => number,
  modules: readonly (ModuleFixture | null)[],
  embed = false,
): number[] {
  const chunks: { chunk: number; bytes: Uint8Array }[] = [];
  const header = new Uint32Array(modules.length * HEADER_WORDS);
  const listRoom = Math.ceil((pageBytes - CHUNK_BYTES) / CHUNK_BYTES);
  let next = 1 + listRoom;
  const place = (bytes: Uint8Array): number => {
    const chunk = next;
    chunks.push({ chunk, bytes });
    next += Math.ceil(bytes.length / CHUNK_BYTES);
    return chunk;
  };
  modules.forEach((module, i) => {
    if (!module) return;
    const { rank, out, input } = module;
    const aRows = embed && i === 0 ? [input, rank] as const : [rank, input] as const;
    const a = place(rows(module.a, ...aRows, module.dtype));
    const b = place(rows(module.b, rank, out, module.dtype));
    const vector = (values: Float64Array | null) =>
      values ? place(new Uint8Array(Float32Array.from(values).buffer)) : ABSENT;
    const bias = vector(module.bias);
    const gain = vector(module.gain);
    const scale = new Uint32Array(Float32Array.of(module.scale).buffer)[0] ?? 0;
    header.set(
      [rank, Number(module.dtype === "bf16"), a, b, bias, gain, scale, 0],
      i * HEADER_WORDS,
    );
  });
  const pages = Array.from({ length: Math.ceil((next * CHUNK_BYTES) / pageBytes) }, take);
  const image = new Uint8Array(pages.length * pageBytes);
  image.set(new Uint8Array(header.buffer));
  image.set(new Uint8Array(Uint32Array.from(pages).buffer), PAGE_LIST_WORD * 4);
  for (const { chunk, bytes } of chunks) image.set(bytes, chunk * CHUNK_BYTES);
  const words = new Uint32Array(image.buffer);
  const pageWords = pageBytes / 4;
  pages.forEach((page, i) => {
    pool.set(words.subarray(i * pageWords, (i + 1) * pageWords), page * pageWords);
  });
  return pages;
}

/** Rows padded to a multiple of 8 elements. */
function rows(
  values: Float64Array,
  count: number,
  length: number,
  dtype: "f16" | "bf16",
): Uint8Array {
  const padded = Math.ceil(length / 8) * 8;
  const bits = new Uint16Array(count * padded);
  for (let i = 0; i < count; i++) {
    bits.set(toHalves(values.subarray(i * length, (i + 1) * length), dtype).bits, i * padded);
  }
  return new Uint8Array(bits.buffer);
}
