import { toHalves } from "./half.ts";

/** A matrix as projections bind it, and the values that its words stand for. */
export interface Weights {
  readonly words: Uint32Array<ArrayBuffer>;
  readonly values: Float64Array;
}

/** Rounds a matrix [rows][..] to `dtype`; int8 is laid out with its scales behind it. */
export function toWeights(
  numbers: Float32Array,
  rows: number,
  dtype: "f16" | "bf16" | "int8",
): Weights {
  if (dtype === "int8") return toInt8(numbers, rows);
  const { bits, values } = toHalves(numbers, dtype);
  return { words: new Uint32Array(bits.buffer), values };
}

function toInt8(numbers: Float32Array, rows: number): Weights {
  const width = numbers.length / rows;
  const words = new Uint32Array(numbers.length / 4 + Math.ceil(rows / 4) * 4);
  const bytes = new Int8Array(words.buffer);
  const scales = new Float32Array(words.buffer, numbers.length, rows);
  const values = new Float64Array(numbers.length);
  for (let row = 0; row < rows; row++) {
    const line = numbers.subarray(row * width, (row + 1) * width);
    const scale = Math.fround(Math.max(...line.map(Math.abs)) / 127);
    scales[row] = scale;
    line.forEach((value, k) => {
      const q = scale === 0 ? 0 : Math.round(value / scale);
      bytes[row * width + k] = q;
      values[row * width + k] = q * scale;
    });
  }
  return { words, values };
}
