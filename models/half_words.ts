export type HalfDtype = "f16" | "bf16";

const LARGEST = { f16: 65504, bf16: 3.3895313892515355e38 } as const;

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

/** The 16 bits that hold all values exactly, else f16 where its range is enough, else bf16, else null. */
export function halfDtypeFor(matrices: readonly Float32Array<ArrayBuffer>[]): HalfDtype | null {
  if (matrices.every(isF16)) return "f16";
  if (matrices.every(isBf16)) return "bf16";
  const fits = (dtype: HalfDtype) => matrices.every((values) => within(values, LARGEST[dtype]));
  return fits("f16") ? "f16" : fits("bf16") ? "bf16" : null;
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

function within(values: Float32Array, largest: number): boolean {
  for (let i = 0; i < values.length; i++) {
    if (Math.abs(values[i] ?? 0) > largest) return false;
  }
  return true;
}
