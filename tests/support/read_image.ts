import { ABSENT, CHUNK_BYTES, HEADER_WORDS, type PackedPages } from "../../models/adapter_image.ts";
import type { ModelConfig, moduleShape } from "../../models/model_config.ts";

type Module = Parameters<typeof moduleShape>[1];

export interface ReadModule {
  readonly rank: number;
  readonly dtype: "f16" | "bf16";
  readonly scale: number;
  /** Rows as they are stored: [rank][in] (embed: [vocab][rank]) and [rank][out]. */
  readonly a: readonly (readonly number[])[];
  readonly b: readonly (readonly number[])[];
  readonly bias: readonly number[] | null;
  readonly gain: readonly number[] | null;
  /** [first chunk, chunk after the last] of every matrix. */
  readonly chunks: readonly (readonly [number, number])[];
}

/** Reads one copy of an image by models/adapter_image.ts alone; null where the rank is 0. */
export function readImage(
  { bytes, pages, copies }: PackedPages,
  copy: number,
  modules: readonly Module[],
  shape: (module: Module) => readonly [out: number, input: number],
): (ReadModule | null)[] {
  const size = bytes.byteLength / copies;
  if (size % pages !== 0) {
    throw new RangeError(`Cannot read image: ${size} bytes in ${pages} pages`);
  }
  const view = new DataView(bytes, copy * size, size);
  return modules.map((module, index) => {
    const word = (i: number) => view.getUint32((index * HEADER_WORDS + i) * 4, true);
    const rank = word(0);
    if (rank === 0) return null;
    const dtype = word(1) === 1 ? "bf16" : "f16";
    const [out, input] = shape(module);
    const chunks: [number, number][] = [];
    const end = (chunk: number, length: number) =>
      chunks.push([chunk, chunk + Math.ceil(length / CHUNK_BYTES)]);
    const matrix = (chunk: number, rows: number, columns: number): number[][] => {
      const stride = Math.ceil(columns / 8) * 8;
      end(chunk, rows * stride * 2);
      return Array.from({ length: rows }, (_, i) =>
        Array.from({ length: stride }, (_, j) => {
          const at = chunk * CHUNK_BYTES + (i * stride + j) * 2;
          const value = dtype === "f16" ? view.getFloat16(at, true) : bfloat16(view, at);
          if (j >= columns && value !== 0) throw new RangeError(`Cannot read padding: ${value}`);
          return value;
        }).slice(0, columns));
    };
    const vector = (chunk: number) => {
      if (chunk === ABSENT) return null;
      end(chunk, out * 4);
      return Array.from(
        { length: out },
        (_, i) => view.getFloat32(chunk * CHUNK_BYTES + i * 4, true),
      );
    };
    return {
      rank,
      dtype,
      scale: view.getFloat32((index * HEADER_WORDS + 6) * 4, true),
      a: module === "embed" ? matrix(word(2), input, rank) : matrix(word(2), rank, input),
      b: matrix(word(3), rank, out),
      bias: vector(word(4)),
      gain: vector(word(5)),
      chunks,
    };
  });
}

function bfloat16(view: DataView, at: number): number {
  const word = new DataView(new ArrayBuffer(4));
  word.setUint16(0, view.getUint16(at, true));
  return word.getFloat32(0);
}

/** A model of odd sizes, for tests that need no weights. */
export const ODD_MODEL: ModelConfig = {
  hiddenSize: 40,
  intermediateSize: 56,
  layers: 2,
  heads: 3,
  kvHeads: 1,
  headDim: 16,
  vocabSize: 24,
  maxPositions: 64,
  rmsNormEps: 1e-6,
  rope: { theta: 10000, scaling: null },
  tiedEmbeddings: true,
  qkvBias: false,
  qkNorm: false,
  slidingWindow: [null, null],
  eosTokenIds: [],
};
