const EPSILON = { f32: 2 ** -24, f16: 2 ** -11, bf16: 2 ** -8 };

/** Room for exp and division, which GPUs round to a few units in the last place. */
const SLACK = 16;

/**
 * Relative error allowed after `length` additions in `dtype`: rounding errors that do not conspire grow
 * with the square root of their number.
 */
export function tolerance(dtype: keyof typeof EPSILON, length: number): number {
  return EPSILON[dtype] * SLACK * Math.sqrt(length);
}
