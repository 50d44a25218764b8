import { linearMatrixFits, type MatrixTiling } from "../../kernels/linear_matrix/linear_matrix.ts";
import type { MatrixUnits, WorkgroupLimits } from "../../kernels/matrix_units.ts";
import { NumpyRandom } from "./numpy_random.ts";

const OUTS = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256];
const ROWS = [16, 32, 64, 128, 256];
const SLICES = [32, 64, 128];
const GROUPS = [1, 2, 3, 4, 6, 7, 8, 12, 14];
const SPLITS = [1, 2, 3, 4, 6, 8, 12];
/** Matrices of sums that a subgroup has room for in its registers. */
const MOST_SUMS = 32;
/** Fewer workgroups leave most of a large card idle, more only read x again. */
const WORK = [64, 2048] as const;
const DRAWS = 200_000;

/** `count` tilings at random, or as many as are found, that suit the device and make work enough of `rows` x `out`. */
export function randomTilings(
  units: MatrixUnits,
  limits: WorkgroupLimits,
  { rows, out, count, seed }: { rows: number; out: number; count: number; seed: number },
): readonly MatrixTiling[] {
  const random = new NumpyRandom(seed);
  const one = <T>(of: readonly T[]): T => of[random.integer(0, of.length)] as T;
  // A tile taller than its rows multiplies zeros, a much lower one reads the weights again and again.
  const heights = ROWS.filter((height) => height < 2 * rows && 4 * height > rows);
  const tall = heights.length > 0 ? heights : [Math.max(...ROWS)];
  const found = new Map<string, MatrixTiling>();
  for (let i = 0; i < DRAWS && found.size < count; i++) {
    const tiling: MatrixTiling = {
      TILE_ROWS: one(tall),
      TILE_OUTS: one(OUTS),
      SLICE: one(SLICES),
      ROW_GROUPS: one([1, 2, 4]),
      OUT_GROUPS: one(GROUPS),
      K_GROUPS: one([1, 1, 2]),
      SPLIT: one(SPLITS),
      AHEAD: one([1, 2]),
    };
    const { TILE_ROWS, TILE_OUTS, ROW_GROUPS, OUT_GROUPS, SPLIT } = tiling;
    const sums = TILE_ROWS * TILE_OUTS / (ROW_GROUPS * OUT_GROUPS * units.size ** 2);
    const work = Math.ceil(rows / TILE_ROWS) * Math.ceil(out / TILE_OUTS) * SPLIT;
    if (sums > MOST_SUMS || work < WORK[0] || work > WORK[1]) continue;
    if (linearMatrixFits(tiling, units, limits)) found.set(Object.values(tiling).join(), tiling);
  }
  return [...found.values()];
}
