import type { Checkpoint } from "./checkpoint.ts";
import type { Tensor } from "./safetensors.ts";
import { sameValues } from "./tensor_values.ts";
import type { WeightBuffer } from "./weight_plan.ts";

/** Part of a weight buffer, still in its file. */
export interface WeightChunk {
  readonly buffer: string;
  /** What of the buffer these bytes are, from its first byte on; 0 where `rows` says where they go. */
  readonly offset: number;
  /** Bytes that `read` makes, at most CHUNK_BYTES. */
  readonly bytes: number;
  /** Set where the bytes are whole rows of 16 bits that have yet to become int8. */
  readonly rows: MatrixRows | null;
  /** Reads them from the file into `target`, of just so many bytes, which is written from first to last and not read. */
  read(target: Uint8Array<ArrayBuffer>): void;
}

/** Some rows of a matrix [out][input]. */
export interface MatrixRows {
  readonly input: number;
  readonly out: number;
  readonly first: number;
  readonly rows: number;
}

export type WeightDtype = "f16" | "bf16";
/** What matrices shall be on the GPU; auto: the checkpoint's own 16 bits, f16 where it has 32; int8: from those. */
export type WantedDtype = "auto" | WeightDtype | "int8";

export const CHUNK_BYTES = 8 * 2 ** 20;
/** Not weights: buffers that old checkpoints carry along. */
const IGNORED = /\.rotary_emb\.inv_freq$/;

/** Bytes of a weight buffer on the GPU: int8 matrices have an f32 a row behind them, four at a time. */
export function bufferBytes({ kind, parts }: WeightBuffer): number {
  const elements = parts.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return kind === "int8"
    ? elements + 16 * Math.ceil(rowsOf(parts) / 4)
    : elements * (kind === "matrix" ? 2 : 4);
}

const rowsOf = (parts: WeightBuffer["parts"]) =>
  parts.reduce((sum, { shape: [rows = 0] }) => sum + rows, 0);

/**
 * Checks the checkpoint against the plan: every tensor there, of the right shape, none left over.
 * @returns the element type of all matrices that stay in 16 bits: only those of f32 checkpoints are converted.
 * @throws {TypeError} naming the tensor, what was expected and what was found.
 */
export function checkWeights(
  checkpoint: Checkpoint,
  plan: readonly WeightBuffer[],
  tiedEmbeddings: boolean,
  wanted: WantedDtype = "auto",
): WeightDtype {
  const known = new Set<string>();
  let matrices: string | null = null;
  for (const { kind, parts } of plan) {
    for (const { tensor: name, shape } of parts) {
      known.add(name);
      const tensor = checkpoint.find(name);
      if (!tensor) {
        throw new TypeError(`Cannot load model: its files have no tensor ${name}`);
      }
      if (tensor.shape.join() !== shape.join()) {
        throw new TypeError(
          `Cannot load model: ${tensor.file}: ${name} must have shape [${shape}], ` +
            `received [${tensor.shape}]`,
        );
      }
      if (!["F16", "BF16", "F32"].includes(tensor.dtype)) {
        throw new TypeError(
          `Cannot load model: ${tensor.file}: ${name} must be F16, BF16 or F32, received ${tensor.dtype}`,
        );
      }
      if (kind === "vector") continue;
      if (kind === "int8" && (shape[1] ?? 0) % 16 !== 0) {
        throw new TypeError(
          `Cannot load model: --dtype int8 takes inputs that are a multiple of 16, received ${
            shape[1]
          } for ${name}; use --dtype auto`,
        );
      }
      matrices ??= tensor.dtype;
      if (tensor.dtype !== matrices) {
        throw new TypeError(
          `Cannot load model: ${tensor.file}: all matrices must share one dtype, ${matrices}; ` +
            `received ${tensor.dtype} for ${name}`,
        );
      }
    }
  }
  if (tiedEmbeddings) {
    known.add("lm_head.weight");
    checkTiedHead(checkpoint);
  }
  const left = checkpoint.names.find((name) => !known.has(name) && !IGNORED.test(name));
  if (left !== undefined) {
    throw new TypeError(
      `Cannot load model: ${
        checkpoint.find(left)?.file
      }: a tensor that this architecture does not use, ` +
        `received ${left}`,
    );
  }
  if (matrices === "F32") return wanted === "bf16" ? "bf16" : "f16";
  const own = matrices === "BF16" ? "bf16" : "f16";
  if (wanted !== "auto" && wanted !== "int8" && wanted !== own) {
    throw new TypeError(
      `Cannot load model: --dtype ${wanted} converts f32 checkpoints only, received one in ${own}; ` +
        `use --dtype auto`,
    );
  }
  return own;
}

/** A tied model may store its head all the same; transformers unties it where it is another matrix. */
function checkTiedHead(checkpoint: Checkpoint): void {
  const embedding = checkpoint.find("model.embed_tokens.weight");
  const head = checkpoint.find("lm_head.weight");
  if (!embedding || !head || sameValues(head, embedding)) return;
  throw new TypeError(
    `Cannot load model: ${head.file}: ${head.name} must equal the embedding where config.json says ` +
      `tie_word_embeddings, received another matrix; set tie_word_embeddings to false`,
  );
}

/** All weights in chunks, which go from the file to where the caller wants them; only what changes its type is held on the way. */
export function* streamWeights(
  checkpoint: Checkpoint,
  plan: readonly WeightBuffer[],
  dtype: WeightDtype,
): Generator<WeightChunk> {
  let scratch: readonly [input: Uint8Array<ArrayBuffer>, output: Uint8Array<ArrayBuffer>] | null =
    null;
  for (const { name: buffer, kind, parts } of plan) {
    let offset = 0;
    let first = 0;
    for (const part of parts) {
      const tensor = checkpoint.find(part.tensor);
      if (!tensor) {
        throw new TypeError(`Cannot load model: its files have no tensor ${part.tensor}`);
      }
      const { convert, growth } = conversion(kind, tensor, dtype);
      const [height = 1, width = 1] = part.shape;
      const rowBytes = tensor.bytes / height;
      const most = kind === "int8"
        ? wholeRows(part.tensor, rowBytes)
        : CHUNK_BYTES / Math.max(1, growth);
      for (let at = 0; at < tensor.bytes; at += most) {
        const length = Math.min(most, tensor.bytes - at);
        const rows = kind === "int8"
          ? { input: width, out: rowsOf(parts), first, rows: length / rowBytes }
          : null;
        const read = (target: Uint8Array<ArrayBuffer>) => {
          if (!convert) return tensor.read(at, target);
          const [memory, output] = scratch ??= [
            new Uint8Array(CHUNK_BYTES),
            new Uint8Array(CHUNK_BYTES),
          ];
          const input = memory.subarray(0, length);
          tensor.read(at, input);
          target.set(convert(input, output));
        };
        yield { buffer, offset, bytes: length * growth, rows, read };
        if (rows) first += rows.rows;
        else offset += length * growth;
      }
    }
  }
}

function wholeRows(name: string, rowBytes: number): number {
  const rows = Math.floor(CHUNK_BYTES / rowBytes);
  if (rows > 0) return rows * rowBytes;
  throw new RangeError(
    `Cannot load model: a row of ${name} must fit into ${CHUNK_BYTES} bytes, received ${rowBytes}`,
  );
}

/** @returns the bytes as they are wanted, in `output`. */
type Convert = (
  input: Uint8Array<ArrayBuffer>,
  output: Uint8Array<ArrayBuffer>,
) => Uint8Array<ArrayBuffer>;

interface Conversion {
  /** Null where the file has the bytes as they are wanted. */
  readonly convert: Convert | null;
  /** Bytes that a byte of the file becomes. */
  readonly growth: number;
}

function conversion(kind: WeightBuffer["kind"], tensor: Tensor, dtype: WeightDtype): Conversion {
  const wide = tensor.dtype === "F32";
  if (wide === (kind === "vector")) return { convert: null, growth: 1 };
  if (wide) return { convert: narrow(tensor, dtype), growth: 0.5 };
  return { convert: tensor.dtype === "F16" ? widenF16 : widenBf16, growth: 2 };
}

const widenF16: Convert = (input, output) => {
  const halves = new Float16Array(input.buffer, 0, input.length / 2);
  new Float32Array(output.buffer, 0, halves.length).set(halves);
  return output.subarray(0, input.length * 2);
};

const widenBf16: Convert = (input, output) => {
  const halves = new Uint16Array(input.buffer, 0, input.length / 2);
  const words = new Uint32Array(output.buffer, 0, halves.length);
  for (let i = 0; i < halves.length; i++) words[i] = ((halves[i] ?? 0) << 16) >>> 0;
  return output.subarray(0, input.length * 2);
};

/** f32 to 16 bits, rounded to nearest even; what they cannot hold is refused. */
function narrow(tensor: Tensor, dtype: WeightDtype): Convert {
  return (input, output) => {
    const floats = new Float32Array(input.buffer, 0, input.length / 4);
    const bad = dtype === "f16" ? toF16(floats, output) : toBf16(input, output);
    if (bad >= 0) {
      const hint = dtype === "f16" && Number.isFinite(floats[bad]) ? "; try --dtype bf16" : "";
      throw new TypeError(
        `Cannot load model: ${tensor.file}: ${tensor.name} does not fit into ${dtype}, received ` +
          `${floats[bad]}${hint}`,
      );
    }
    return output.subarray(0, input.length / 2);
  };
}

/** @returns the place of the first number that f16 cannot hold, or -1. */
function toF16(floats: Float32Array, output: Uint8Array<ArrayBuffer>): number {
  const halves = new Float16Array(output.buffer, 0, floats.length);
  halves.set(floats);
  return halves.findIndex((half) => !Number.isFinite(half));
}

/** @returns the place of the first number that bf16 cannot hold, or -1. */
function toBf16(input: Uint8Array<ArrayBuffer>, output: Uint8Array<ArrayBuffer>): number {
  const words = new Uint32Array(input.buffer, 0, input.length / 4);
  const halves = new Uint16Array(output.buffer, 0, words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    halves[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
    // Rounding carries some NaNs past the largest word, to zero.
    if (((word >>> 16) & 0x7f80) === 0x7f80 || ((halves[i] ?? 0) & 0x7f80) === 0x7f80) return i;
  }
  return -1;
}
