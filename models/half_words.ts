export type HalfDtype = "f16" | "bf16";

const LARGEST = { f16: 65504, bf16: 3.3895313892515355e38 } as const;
/**
 * Root mean square of a matrix below which f16 loses more of it than bf16 does: its steps, 2^-24 at their smallest,
 * are off by 2^-24 / sqrt(12) on average, the eight bits of bf16 by 2^-9 / sqrt(3) of a number.
 */
const LEAST_RMS = 2 ** -16;

/** Values as 16-bit words, rounded to nearest even. */
export function halfWords(values: Float32Array<ArrayBuffer>, dtype: HalfDtype): Uint16Array {
  if (dtype === "f16") return new Uint16Array(new Float16Array(values).buffer);
  const words = bits(values);
  const halves = new Uint16Array(words.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    halves[i] = (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return halves;
}

/** The 16 bits that hold all values exactly, else f16 where its range is enough at both ends, else bf16, else null. */
export function halfDtypeFor(matrices: readonly Float32Array<ArrayBuffer>[]): HalfDtype | null {
  if (matrices.every(isF16)) return "f16";
  if (matrices.every(isBf16)) return "bf16";
  const sizes = matrices.map(sizeOf);
  if (sizes.every(({ most, rms }) => most <= LARGEST.f16 && (rms === 0 || rms >= LEAST_RMS))) {
    return "f16";
  }
  return sizes.every(({ most }) => most <= LARGEST.bf16) ? "bf16" : null;
}

const bits = (values: Float32Array<ArrayBuffer>) =>
  new Uint32Array(values.buffer, values.byteOffset, values.length);

// Plain loops: these look at every number of every adapter, and callbacks take ten times as long.
function isF16(values: Float32Array<ArrayBuffer>): boolean {
  const words = bits(values);
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? 0;
    const magnitude = word & 0x7fff_ffff;
    // Normal in f16: exact where the 13 lowest bits of the mantissa are zero.
    const normal = magnitude >= 0x3880_0000 && magnitude < 0x4780_0000;
    if (normal ? (word & 0x1fff) !== 0 : Math.f16round(values[i] ?? 0) !== values[i]) return false;
  }
  return true;
}

function isBf16(values: Float32Array<ArrayBuffer>): boolean {
  const words = bits(values);
  for (let i = 0; i < words.length; i++) {
    if (((words[i] ?? 0) & 0xffff) !== 0) return false;
  }
  return true;
}

function sizeOf(values: Float32Array): { readonly most: number; readonly rms: number } {
  let [most, squares] = [0, 0];
  for (let i = 0; i < values.length; i++) {
    const value = values[i] ?? 0;
    most = Math.max(most, Math.abs(value));
    squares += value * value;
  }
  return { most, rms: Math.sqrt(squares / Math.max(1, values.length)) };
}
