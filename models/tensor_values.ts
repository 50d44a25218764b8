import type { CheckpointTensor } from "./checkpoint.ts";
import type { SafetensorsFile } from "./safetensors.ts";

/**
 * A tensor's values widened to f32, exactly.
 * @throws {TypeError} for an element type that is no float, and for NaN or infinity.
 */
export function readFloats(file: SafetensorsFile, name: string): Float32Array {
  const tensor = file.tensors.get(name);
  const bytes = new Uint8Array(tensor?.bytes ?? 0);
  file.readInto(name, 0, bytes);
  const floats = widen(bytes, tensor?.dtype ?? "", `${file.path}: ${name}`);
  const bad = floats.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new TypeError(
      `Cannot load adapter: ${file.path}: ${name} must be finite, received ${
        floats[bad]
      } at element ${bad}`,
    );
  }
  return floats;
}

function widen(bytes: Uint8Array<ArrayBuffer>, dtype: string, where: string): Float32Array {
  switch (dtype) {
    case "F32":
      return new Float32Array(bytes.buffer);
    case "F16":
      return new Float32Array(new Float16Array(bytes.buffer));
    case "BF16": {
      const halves = new Uint16Array(bytes.buffer);
      const words = Uint32Array.from(halves, (half) => (half << 16) >>> 0);
      return new Float32Array(words.buffer);
    }
    default:
      throw new TypeError(
        `Cannot load adapter: ${where} must be F16, BF16 or F32, received ${dtype}`,
      );
  }
}

const AT_ONCE = 2 ** 20;

/** True where a tensor of the adapter equals one of the base, element by element. */
export function sameValues(
  file: SafetensorsFile,
  name: string,
  base: CheckpointTensor | null,
): boolean {
  const tensor = file.tensors.get(name);
  if (!tensor || !base || tensor.shape.join() !== base.shape.join()) return false;
  const count = tensor.shape.reduce((a, b) => a * b, 1);
  const [width, baseWidth] = [tensor.bytes / count, base.bytes / count];
  for (let at = 0; at < count; at += AT_ONCE) {
    const some = Math.min(AT_ONCE, count - at);
    const mine = new Uint8Array(some * width);
    const theirs = new Uint8Array(some * baseWidth);
    file.readInto(name, at * width, mine);
    base.read(at * baseWidth, theirs);
    const a = widen(mine, tensor.dtype, name);
    const b = widen(theirs, base.dtype, base.name);
    if (a.some((value, i) => value !== b[i])) return false;
  }
  return true;
}
