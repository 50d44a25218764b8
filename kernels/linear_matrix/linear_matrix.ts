import { defineLinear } from "../linear.ts";
import { MATRIX_FEATURES, type MatrixUnits, type WorkgroupLimits } from "../matrix_units.ts";
import fma8 from "../shared/fma8.wgsl" with { type: "text" };
import loraShrink from "../shared/lora_shrink_wide.wgsl" with { type: "text" };
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
  /** Slices on their way while one is multiplied. */
  readonly AHEAD: number;
}

/** Matrices of an invocation: whole numbers, where the tiling suits the subgroups; and its loads at most. */
function counts({
  TILE_ROWS = 0,
  TILE_OUTS = 0,
  SLICE = 0,
  ROW_GROUPS = 1,
  OUT_GROUPS = 1,
  K_GROUPS = 1,
  MATRIX = 1,
  SUBGROUP = 1,
  RANKS = 4,
}: Readonly<Record<string, number>>) {
  const threads = SUBGROUP * ROW_GROUPS * OUT_GROUPS * K_GROUPS;
  return {
    ROW_BLOCKS: TILE_ROWS / ROW_GROUPS / MATRIX,
    OUT_BLOCKS: TILE_OUTS / OUT_GROUPS / MATRIX,
    STEPS: SLICE / MATRIX / K_GROUPS,
    X_LOADS: Math.ceil(TILE_ROWS * SLICE / 8 / threads),
    W_LOADS: Math.ceil(TILE_OUTS * SLICE / 8 / threads),
    QUADS: RANKS / 4,
  };
}

export const linearMatrix = defineLinear({
  name: "linear_matrix",
  source,
  includes: [fma8, loraShrink],
  header: [
    "TILE_ROWS",
    "TILE_OUTS",
    "SLICE",
    "ROW_GROUPS",
    "OUT_GROUPS",
    "K_GROUPS",
    "SPLIT",
    "AHEAD",
    "MATRIX",
    "SUBGROUP",
    "RANKS",
    "SHRINK_SPLIT",
  ],
  counts,
  features: MATRIX_FEATURES,
});

/** Rows, or outputs, of a tile from which on a processor holds but one or two workgroups. */
const LARGE_ROWS = 128;
const LARGE_OUTS = 192;

/** What the text is compiled with. */
export function linearMatrixHeader(
  tiling: MatrixTiling,
  { size, subgroup }: MatrixUnits,
): Readonly<Record<string, number>> {
  const threads = threadsOf(tiling, subgroup);
  const large = tiling.TILE_ROWS >= LARGE_ROWS || tiling.TILE_OUTS >= LARGE_OUTS;
  // Rank rows that a lane of the shrink has at once: as many as registers and workgroup memory have room for.
  const RANKS = large && threads <= 128 ? 8 : 4;
  const atOnce = RANKS * Math.max(1, Math.floor(threads / 128));
  // Few workgroups at a time do all of an item each, many share it.
  const SHRINK_SPLIT = large ? 1 : 16 / 2 ** Math.floor(Math.log2(atOnce));
  return { ...tiling, MATRIX: size, SUBGROUP: subgroup, RANKS, SHRINK_SPLIT };
}

const threadsOf = ({ ROW_GROUPS, OUT_GROUPS, K_GROUPS }: MatrixTiling, subgroup: number) =>
  subgroup * ROW_GROUPS * OUT_GROUPS * K_GROUPS;

/**
 * Whether subgroups of this size share the tile's matrices evenly, in workgroups that can shrink and that the device
 * can have.
 */
export function linearMatrixFits(
  tiling: MatrixTiling,
  units: MatrixUnits,
  { workgroupBytes, lanes }: WorkgroupLimits,
): boolean {
  const header = linearMatrixHeader(tiling, units);
  const each = Object.values(counts(header));
  const threads = threadsOf(tiling, units.subgroup);
  // The shrink's sums go to a quarter of its lanes and to a quarter of these; four lanes write a rank row.
  const shrinkLanes = Math.min(threads, 128);
  return each.every((count) => Number.isInteger(count) && count > 0) &&
    shrinkLanes % 16 === 0 && shrinkLanes >= 4 * (header.RANKS ?? 0) &&
    linearMatrixBytes(tiling, units) <= workgroupBytes &&
    threads <= lanes;
}

/** Bytes of workgroup memory: slices of the tile's x and W, each row padded, or the sums of the shrink. */
function linearMatrixBytes(tiling: MatrixTiling, units: MatrixUnits): number {
  const { TILE_ROWS, TILE_OUTS, SLICE } = tiling;
  const { RANKS = 0 } = linearMatrixHeader(tiling, units);
  const slice = (TILE_ROWS + TILE_OUTS) * (SLICE / 8 + 1);
  return Math.max(slice, threadsOf(tiling, units.subgroup) * RANKS) * 16;
}

/** Pieces of work: tiles of rows by outputs, then the shrink items. */
export function linearMatrixWork(
  tiling: MatrixTiling,
  units: MatrixUnits,
  rows: number,
  out: number,
  shrinkItems: number,
): number {
  const { TILE_ROWS, TILE_OUTS, SPLIT } = tiling;
  const { SHRINK_SPLIT = 1 } = linearMatrixHeader(tiling, units);
  const tiles = Math.ceil(rows / TILE_ROWS) * Math.ceil(out / TILE_OUTS);
  return tiles * SPLIT + shrinkItems * SHRINK_SPLIT;
}
