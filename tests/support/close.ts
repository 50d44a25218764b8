import { assert } from "@std/assert";

/** ||actual - expected|| / ||expected|| <= tolerance; NaN never passes. */
export function assertClose(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  tolerance: number,
  what: string,
): void {
  assert(
    actual.length === expected.length,
    `${what}: ${actual.length} of ${expected.length} values`,
  );
  let error = 0;
  let norm = 0;
  for (let i = 0; i < expected.length; i++) {
    error += ((actual[i] ?? NaN) - (expected[i] ?? NaN)) ** 2;
    norm += (expected[i] ?? NaN) ** 2;
  }
  const relative = norm === 0 ? Math.sqrt(error) : Math.sqrt(error / norm);
  assert(relative <= tolerance, `${what}: relative error ${relative}, at most ${tolerance}`);
}
