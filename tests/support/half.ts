/** Rounds numbers to 16 bits: their bits, and the values those bits stand for. */
export interface Halves {
  readonly bits: Uint16Array<ArrayBuffer>;
  readonly values: Float64Array;
}

export function toHalves(numbers: ArrayLike<number>, dtype: "f16" | "bf16"): Halves {
  return dtype === "f16" ? toF16(numbers) : toBf16(numbers);
}

function toF16(numbers: ArrayLike<number>): Halves {
  const halves = Float16Array.from(numbers as Iterable<number> & ArrayLike<number>);
  return {
    bits: new Uint16Array(halves.buffer as ArrayBuffer),
    values: Float64Array.from(halves),
  };
}

function toBf16(numbers: ArrayLike<number>): Halves {
  const words = new Uint32Array(Float32Array.from(numbers).buffer);
  const bits = Uint16Array.from(words, (word) => (word + 0x7fff + ((word >>> 16) & 1)) >>> 16);
  return { bits, values: halfValues(bits, "bf16") };
}

/** What 16-bit words stand for. */
export function halfValues(words: Uint16Array, dtype: "f16" | "bf16"): Float64Array {
  if (dtype === "f16") return Float64Array.from(new Float16Array(Uint16Array.from(words).buffer));
  const wide = Uint32Array.from(words, (half) => (half << 16) >>> 0);
  return Float64Array.from(new Float32Array(wide.buffer));
}
