import { type HalfDtype, halfDtypeFor, halfWords } from "./half_words.ts";
import type { Tensor } from "./safetensors.ts";
import { readFloats, readHalves } from "./tensor_values.ts";

/** An adapted module's A and B as 16-bit words of one type. */
export interface HalfMatrices {
  readonly dtype: HalfDtype;
  /** [rank][in] and [out][rank], as PEFT stores them. */
  readonly a: Uint16Array;
  readonly b: Uint16Array;
}

/**
 * A and B as they are where both have the same 16 bits, else in those that hold all their numbers best.
 * @throws {TypeError} for what is not finite, {RangeError} for numbers too large for any 16 bits.
 */
export function readHalfMatrices(a: Tensor, b: Tensor): HalfMatrices {
  if (a.dtype === b.dtype && (a.dtype === "F16" || a.dtype === "BF16")) {
    const [aWords, bWords] = [readHalves(a), readHalves(b)];
    return { dtype: a.dtype === "F16" ? "f16" : "bf16", a: aWords, b: bWords };
  }
  const [aFloats, bFloats] = [readFloats(a), readFloats(b)];
  const dtype = halfDtypeFor([aFloats, bFloats]);
  if (dtype === null) {
    throw new RangeError(
      `Cannot load adapter: ${a.file}: ${a.name} and ${b.name} must fit into bf16, received ` +
        `numbers up to ${largest(aFloats, bFloats)}`,
    );
  }
  return { dtype, a: halfWords(aFloats, dtype), b: halfWords(bFloats, dtype) };
}

const largest = (...matrices: readonly Float32Array[]) =>
  matrices.reduce((most, values) => values.reduce((m, v) => Math.max(m, Math.abs(v)), most), 0);
