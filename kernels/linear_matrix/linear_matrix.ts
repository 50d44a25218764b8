import { defineLinear, shrinkSplit } from "../linear.ts";
import { MATRIX_FEATURES, type MatrixUnits } from "../matrix_units.ts";
import source from "./linear_matrix.wgsl" with { type: "text" };

/**
 * A tile of rows by outputs, its slices of k, and how many subgroups share each; SPLIT workgroups share a tile's k, and
 * each leaves its sums in a plane [rows][outputs] of its own.
 */
export interface MatrixTiling {
  readonly TILE_ROWS: number;
  readonly TILE_OUTS: number;
  readonly SLICE: number;
  readonly ROW_GROUPS: number;
  readonly OUT_GROUPS: number;
  readonly K_GROUPS: number;
  readonly SPLIT: number;
}

export const linearMatrix = defineLinear({
  name: "linear_matrix",
  source,
  header: [
    "TILE_ROWS",
    "TILE_OUTS",
    "SLICE",
    "ROW_GROUPS",
    "OUT_GROUPS",
    "K_GROUPS",
    "SPLIT",
    "MATRIX",
    "SUBGROUP",
  ],
  counts: ({
    TILE_ROWS = 0,
    TILE_OUTS = 0,
    SLICE = 0,
    ROW_GROUPS = 1,
    OUT_GROUPS = 1,
    K_GROUPS = 1,
    MATRIX = 1,
    SUBGROUP = 1,
  }) => {
    const threads = SUBGROUP * ROW_GROUPS * OUT_GROUPS * K_GROUPS;
    return {
      ROW_BLOCKS: TILE_ROWS / ROW_GROUPS / MATRIX,
      OUT_BLOCKS: TILE_OUTS / OUT_GROUPS / MATRIX,
      STEPS: SLICE / MATRIX / K_GROUPS,
      X_LOADS: TILE_ROWS * SLICE / 8 / threads,
      W_LOADS: TILE_OUTS * SLICE / 8 / threads,
    };
  },
  features: MATRIX_FEATURES,
});

/** Lanes along x of LoRA's shrink. */
const SHRINK_LANES = 32;

/** Bytes of workgroup memory: a slice of the tile's x and W, each row padded, and the scratch of the shrink. */
export const linearMatrixBytes = ({ TILE_ROWS, TILE_OUTS, SLICE }: MatrixTiling): number =>
  (TILE_ROWS + TILE_OUTS) * (SLICE / 8 + 1) * 16 + 2048;

/** Pieces of work: tiles of rows by outputs, then the shrink items of every module. */
export function linearMatrixWork(
  { TILE_ROWS, TILE_OUTS, ROW_GROUPS, OUT_GROUPS, K_GROUPS, SPLIT }: MatrixTiling,
  { subgroup }: MatrixUnits,
  rows: number,
  out: number,
  shrinkWork: number,
): number {
  const split = shrinkSplit(SHRINK_LANES, subgroup * ROW_GROUPS * OUT_GROUPS * K_GROUPS);
  const tiles = Math.ceil(rows / TILE_ROWS) * Math.ceil(out / TILE_OUTS);
  return tiles * SPLIT + shrinkWork * split;
}
