import { randomFloats } from "./random.ts";

/** Sums as a projection whose k several workgroups share leaves them: planes that add up to `sums`. */
export function inPlanes(
  random: () => number,
  sums: Float32Array,
  planes: number,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(planes * sums.length);
  out.set(sums);
  for (let p = 1; p < planes; p++) {
    const part = randomFloats(random, sums.length);
    out.set(part, p * sums.length);
    for (const [i, value] of part.entries()) out[i] = (out[i] ?? 0) - value;
  }
  return out;
}

/** Says in a step's words in how many planes its projections are. */
export function withPlanes(
  step: Uint32Array<ArrayBuffer>,
  planes: number,
): Uint32Array<ArrayBuffer> {
  return step.fill(planes, 16, 20);
}
