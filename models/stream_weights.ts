import type { Checkpoint } from "./checkpoint.ts";
import type { Tensor } from "./safetensors.ts";
import { sameValues } from "./tensor_values.ts";
import type { WeightBuffer } from "./weight_plan.ts";

/** Part of a weight buffer; `bytes` is reused for the next chunk. */
export interface WeightChunk {
  readonly buffer: string;
  /** What of the buffer these bytes are, from its first byte on; of an int8 buffer, where its rows go. */
  readonly offset: number;
  /** What they become there. */
  readonly length: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Set where the bytes are whole rows of 16 bits that have yet to become int8. */
  readonly rows: MatrixRows | null;
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

const CHUNK = 16 * 2 ** 20;
/** Most bytes of a chunk; of widened vectors twice as many. */
export const CHUNK_BYTES = CHUNK / 2;
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

/** All weights in chunks of at most 16 MiB; host memory never holds more than two of them. */
export function* streamWeights(
  checkpoint: Checkpoint,
  plan: readonly WeightBuffer[],
  dtype: WeightDtype,
): Generator<WeightChunk> {
  const input = new Uint8Array(CHUNK);
  const output = new Uint8Array(CHUNK);
  for (const { name: buffer, kind, parts } of plan) {
    let offset = 0;
    let first = 0;
    for (const part of parts) {
      const tensor = checkpoint.find(part.tensor);
      if (!tensor) {
        throw new TypeError(`Cannot load model: its files have no tensor ${part.tensor}`);
      }
      const convert = converter(kind, tensor, dtype);
      // Half a chunk at a time, so that widened elements fit a whole one; of int8 matrices whole rows.
      const [height = 1, width = 1] = part.shape;
      const rowBytes = tensor.bytes / height;
      const most = kind === "int8" ? wholeRows(part.tensor, rowBytes) : CHUNK_BYTES;
      for (let at = 0; at < tensor.bytes; at += most) {
        const read = input.subarray(0, Math.min(most, tensor.bytes - at));
        tensor.read(at, read);
        const bytes = convert(read, output);
        const rows = kind === "int8"
          ? { input: width, out: rowsOf(parts), first, rows: read.length / rowBytes }
          : null;
        const length = rows ? rows.rows * width : bytes.length;
        yield { buffer, offset, length, bytes, rows };
        offset += length;
        first += rows?.rows ?? 0;
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

type Convert = (
  input: Uint8Array<ArrayBuffer>,
  output: Uint8Array<ArrayBuffer>,
) => Uint8Array<ArrayBuffer>;

function converter(
  kind: WeightBuffer["kind"],
  tensor: Tensor,
  dtype: WeightDtype,
): Convert {
  if (kind !== "vector") return tensor.dtype === "F32" ? narrow(tensor, dtype) : (input) => input;
  switch (tensor.dtype) {
    case "F32":
      return (input) => input;
    case "F16":
      return (input, output) => {
        const halves = new Float16Array(input.buffer, 0, input.length / 2);
        new Float32Array(output.buffer, 0, halves.length).set(halves);
        return output.subarray(0, input.length * 2);
      };
    default:
      return (input, output) => {
        const halves = new Uint16Array(input.buffer, 0, input.length / 2);
        const words = new Uint32Array(output.buffer, 0, halves.length);
        for (let i = 0; i < halves.length; i++) words[i] = ((halves[i] ?? 0) << 16) >>> 0;
        return output.subarray(0, input.length * 2);
      };
  }
}

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
