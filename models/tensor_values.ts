import type { Tensor } from "./safetensors.ts";

/**
 * An adapter tensor's values widened to f32, exactly.
 * @throws {TypeError} for an element type that is no float, and for NaN or infinity.
 */
export function readFloats(tensor: Tensor): Float32Array<ArrayBuffer> {
  const bytes = new Uint8Array(tensor.bytes);
  tensor.read(0, bytes);
  const floats = widen(bytes, tensor);
  for (let i = 0; i < floats.length; i++) {
    if (Number.isFinite(floats[i])) continue;
    throw new TypeError(
      `Cannot load adapter: ${tensor.file}: ${tensor.name} must be finite, received ` +
        `${floats[i]} at element ${i}`,
    );
  }
  return floats;
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
