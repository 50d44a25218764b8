import { defineLinear } from "../linear.ts";
import source from "./linear_matrix.wgsl" with { type: "text" };

export const linearMatrix = defineLinear({
  name: "linear_matrix",
  source,
  header: ["TILE_ROWS", "TILE_OUTS", "SLICE", "ROW_GROUPS", "OUT_GROUPS", "K_GROUPS"],
  counts: ({
    TILE_ROWS = 0,
    TILE_OUTS = 0,
    SLICE = 0,
    ROW_GROUPS = 1,
    OUT_GROUPS = 1,
    K_GROUPS = 1,
  }) => {
    const threads = 32 * ROW_GROUPS * OUT_GROUPS * K_GROUPS;
    return {
      ROW_BLOCKS: TILE_ROWS / ROW_GROUPS / 16,
      OUT_BLOCKS: TILE_OUTS / OUT_GROUPS / 16,
      STEPS: SLICE / 16 / K_GROUPS,
      X_LOADS: TILE_ROWS * SLICE / 8 / threads,
      W_LOADS: TILE_OUTS * SLICE / 8 / threads,
    };
  },
  features: ["shader-f16", "subgroups", "chromium-experimental-subgroup-matrix"],
});

/** A tile of rows by outputs, its slices of k, and how many subgroups share each. */
export type MatrixTiling = Readonly<
  Record<"TILE_ROWS" | "TILE_OUTS" | "SLICE" | "ROW_GROUPS" | "OUT_GROUPS" | "K_GROUPS", number>
>;

/** Pieces of work: tiles of rows by outputs, then the shrink items of every module. */
export function linearMatrixWork(
  { TILE_ROWS, TILE_OUTS }: MatrixTiling,
  rows: number,
  out: number,
  shrinkWork: number,
): number {
  return Math.ceil(rows / TILE_ROWS) * Math.ceil(out / TILE_OUTS) + shrinkWork;
}
