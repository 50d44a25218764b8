import type { Tensor } from "./safetensors.ts";

/**
 * An adapter tensor's values widened to f32, exactly.
 * @throws {TypeError} for an element type that is no float, and for NaN or infinity.
 */
export function readFloats(tensor: Tensor): Float32Array<ArrayBuffer> {
  const bytes = new Uint8Array(tensor.bytes);
  tensor.read(0, bytes);
  const floats = widen(bytes, tensor);
  if (!allFinite(new Uint32Array(floats.buffer), "F32")) throw notFinite(tensor, floats);
  return floats;
}

/** Exponents of the numbers in a word, and what carries out of one that has all bits set: of NaN and infinity. */
const EXPONENTS = {
  F32: [0x7f80_0000, 0x0080_0000, 0x8000_0000],
  F16: [0x7c00_7c00, 0x0400_0400, 0x8000_8000],
  BF16: [0x7f80_7f80, 0x0080_0080, 0x8000_8000],
} as const;

/** Of numbers of `dtype`, in words of 32 bits. No branch and no conversion: this sees every number of every adapter. */
function allFinite(words: Uint32Array, dtype: keyof typeof EXPONENTS): boolean {
  const [exponents, one, carry] = EXPONENTS[dtype];
  let carried = 0;
  for (let i = 0; i < words.length; i++) carried |= ((words[i] ?? 0) & exponents) + one;
  return (carried & carry) === 0;
}

/**
 * An adapter tensor's 16-bit words as they are.
 * @throws {TypeError} for an element type of another width, and for NaN or infinity.
 */
export function readHalves(tensor: Tensor): Uint16Array<ArrayBuffer> {
  const { dtype, file, name } = tensor;
  if (dtype !== "F16" && dtype !== "BF16") {
    throw new TypeError(
      `Cannot read ${name} of ${file}: it must be F16 or BF16, received ${dtype}`,
    );
  }
  const pairs = new Uint32Array(Math.ceil(tensor.bytes / 4));
  const bytes = new Uint8Array(pairs.buffer, 0, tensor.bytes);
  tensor.read(0, bytes);
  if (!allFinite(pairs, dtype)) throw notFinite(tensor, widen(bytes.slice(), tensor));
  return new Uint16Array(pairs.buffer, 0, tensor.bytes / 2);
}

function notFinite({ file, name }: Tensor, values: Float32Array): TypeError {
  const i = values.findIndex((value) => !Number.isFinite(value));
  return new TypeError(
    `Cannot load adapter: ${file}: ${name} must be finite, received ${values[i]} at element ${i}`,
  );
}

function widen(
  bytes: Uint8Array<ArrayBuffer>,
  { dtype, file, name }: Tensor,
): Float32Array<ArrayBuffer> {
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "F16":
      return new Float32Array(new Float16Array(bytes.buffer));
    case "BF16": {
      const halves = new Uint16Array(bytes.buffer);
      const words = new Uint32Array(halves.length);
      for (let i = 0; i < words.length; i++) words[i] = (halves[i] ?? 0) << 16;
      return new Float32Array(words.buffer);
    }
    default:
      throw new TypeError(
        `Cannot read ${name} of ${file}: it must be F16, BF16 or F32, received ${dtype}`,
      );
  }
}

const AT_ONCE = 2 ** 20;

/** True where two tensors are equal element by element, whatever their types; NaN equals nothing. */
export function sameValues(a: Tensor, b: Tensor): boolean {
  if (a.shape.join() !== b.shape.join()) return false;
  const count = a.shape.reduce((product, n) => product * n, 1);
  const some = (tensor: Tensor, at: number) => {
    const width = tensor.bytes / count;
    const bytes = new Uint8Array(Math.min(AT_ONCE, count - at) * width);
    tensor.read(at * width, bytes);
    return widen(bytes, tensor);
  };
  for (let at = 0; at < count; at += AT_ONCE) {
    const [mine, theirs] = [some(a, at), some(b, at)];
    for (let i = 0; i < mine.length; i++) {
      if (mine[i] !== theirs[i]) return false;
    }
  }
  return true;
}
