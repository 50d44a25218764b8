import type { Compiler } from "../../kernels/compiler.ts";
import type { LinearKernel } from "../../kernels/linear.ts";
import {
  linearMatrix,
  linearMatrixFits,
  linearMatrixHeader,
  linearMatrixWork,
  type MatrixTiling,
} from "../../kernels/linear_matrix/linear_matrix.ts";
import type { MatrixUnits, WorkgroupLimits } from "../../kernels/matrix_units.ts";
import { linearRows, linearRowsWork } from "../../kernels/linear_rows/linear_rows.ts";
import { linearTiles, linearTilesWork } from "../../kernels/linear_tiles/linear_tiles.ts";

/** A way to compute a projection; docs/performance.md has the times that the limits follow from. */
export interface LinearVariant {
  readonly kernel: LinearKernel;
  readonly header: Readonly<Record<string, number>>;
  /** Most rows it is meant for. */
  readonly upTo: number;
  /** Fewest columns of x: with fewer, lanes along k would have nothing to do, or no more than add their sums up. */
  readonly columns: number;
  /** Fewest workgroups worth it: what few wide tiles save in traffic they lose in idle processors. */
  readonly fewest: number;
  /** Planes of sums that it leaves (kernels/linear_matrix). */
  readonly planes: number;
  /** Workgroups in all, for a number of rows, of outputs, and of shrink items. */
  work(rows: number, out: number, shrinkItems: number): number;
}

/** About as many workgroups as a large GPU has processors. */
const FULL = 128;

/** Columns from which on k is long enough to be shared by many lanes. */
const LONG = 512;

const rows = (
  upTo: number,
  [ROWS, OUTS]: readonly [number, number],
  [LANES, GROUPS]: readonly [number, number],
): LinearVariant => {
  const header = { ROWS, OUTS, LANES, GROUPS };
  return {
    kernel: linearRows,
    header,
    upTo,
    columns: LANES < 32 ? 0 : LONG,
    fewest: 0,
    planes: 1,
    work: (...sizes) => linearRowsWork(header, ...sizes),
  };
};

/** A tiling for matrix units; null where it does not suit them, or what a workgroup may have. */
const matrix = (
  units: MatrixUnits,
  limits: WorkgroupLimits,
  upTo: number,
  fewest: number,
  tiling: MatrixTiling,
): LinearVariant | null => {
  if (!linearMatrixFits(tiling, units, limits)) return null;
  return {
    kernel: linearMatrix,
    header: linearMatrixHeader(tiling, units),
    upTo,
    columns: 0,
    fewest,
    planes: tiling.SPLIT,
    work: (...sizes) => linearMatrixWork(tiling, units, ...sizes),
  };
};

/** Of few rows, by which the lists for any device begin. */
const FEW = [rows(1, [1, 4], [128, 1]), rows(4, [4, 4], [64, 2])];
/** Of a short k. */
const SHORT_FEW = [rows(1, [1, 8], [8, 8]), rows(4, [4, 8], [8, 8])];
const SHORT = [rows(8, [8, 4], [8, 8]), rows(Infinity, [16, 8], [8, 4])];

const VECTOR: readonly LinearVariant[] = [
  ...FEW,
  rows(8, [8, 4], [64, 2]),
  rows(16, [16, 4], [32, 4]),
  rows(64, [16, 8], [32, 4]),
  {
    kernel: linearTiles,
    header: {},
    upTo: Infinity,
    columns: LONG,
    fewest: FULL,
    planes: 1,
    work: linearTilesWork,
  },
  rows(Infinity, [16, 8], [32, 4]),
  ...[...SHORT_FEW, ...SHORT],
];

/**
 * Up to how many rows, from how many workgroups on; tile of rows x outputs, slice; subgroups that share them;
 * workgroups that share a tile; slices on their way.
 */
type MatrixRow = readonly [
  limits: readonly [upTo: number, fewest: number],
  tile: readonly [rows: number, outputs: number, slice: number],
  groups: readonly [rows: number, outputs: number, k: number],
  split?: number,
  ahead?: number,
];

/** Of large tiles; one more wave of smaller ones takes longer than some idle processors. */
const NEARLY_FULL = 100;
/** Far enough into the second of two waves that smaller tiles would not end sooner. */
const TWO_WAVES = 200;

/** More workgroups than narrow outputs make of one tiling, and wide ones do. */
const SOME = 300;

const MATRIX: readonly (MatrixRow | LinearVariant)[] = [
  ...[...FEW, ...SHORT_FEW],
  [[16, SOME], [16, 32, 64], [1, 1, 2], 1, 2],
  [[16, SOME], [16, 64, 64], [1, 4, 1], 4, 2],
  [[16, 0], [16, 64, 64], [1, 4, 1], 8, 2],
  [[32, FULL], [32, 128, 64], [1, 4, 1], 1, 2],
  [[32, SOME], [32, 64, 64], [1, 4, 1], 4],
  [[32, 0], [32, 128, 64], [1, 4, 1], 8, 2],
  [[64, FULL], [64, 224, 64], [1, 7, 1]],
  [[64, SOME], [64, 64, 64], [2, 2, 1]],
  [[64, 2 * FULL], [64, 96, 64], [1, 6, 1], 4],
  [[64, 0], [64, 96, 64], [1, 6, 1], 6],
  [[128, SOME / 2], [128, 128, 64], [2, 4, 1]],
  [[128, FULL], [128, 192, 64], [2, 6, 1], 4],
  [[128, 0], [128, 192, 64], [2, 6, 1], 6],
  // Where workgroups have 32 KiB: what is above and does not fit is left out, here and at the end.
  [[128, SOME / 2], [128, 128, 32], [2, 2, 1]],
  [[128, SOME / 2], [128, 128, 32], [2, 2, 1], 4],
  [[128, 0], [128, 128, 32], [2, 2, 1], 8],
  // Decode rows beside part of a prompt, and prompts.
  [[384, FULL], [96, 224, 64], [1, 7, 1]],
  [[192, FULL], [96, 192, 64], [1, 6, 1], 2],
  [[192, 0], [192, 128, 64], [2, 4, 1], 4],
  [[256, FULL], [128, 192, 64], [2, 4, 1], 2],
  [[256, 0], [128, 128, 64], [2, 4, 1], 2],
  [[384, FULL], [96, 192, 64], [1, 6, 1]],
  [[384, 0], [128, 192, 64], [2, 4, 1], 2],
  [[768, NEARLY_FULL], [128, 192, 64], [2, 4, 1]],
  [[Infinity, TWO_WAVES], [128, 192, 64], [2, 4, 1]],
  [[Infinity, 0], [128, 128, 64], [2, 4, 1]],
  [[Infinity, FULL], [256, 128, 32], [4, 2, 1]],
  [[Infinity, 0], [64, 64, 64], [2, 2, 1]],
  rows(Infinity, [16, 8], [32, 4]),
  ...SHORT,
];

/** Rows of room that a projection's sums need, in all planes, for up to `tokens` rows of any device's variants. */
export function projectedRows(tokens: number): number {
  const rows = MATRIX.map((row) =>
    "kernel" in row ? tokens : Math.min(row[0][0], tokens) * (row[3] ?? 1)
  );
  return Math.max(...rows);
}

/**
 * The variants for a device, in order of preference, for x of so many columns, or all; the last one serves any sizes.
 */
export function linearVariants(
  device: Pick<Compiler, "matrices" | keyof WorkgroupLimits>,
  columns = Infinity,
): readonly LinearVariant[] {
  const { matrices } = device;
  const able = (variant: LinearVariant) => columns >= variant.columns;
  if (!matrices) return VECTOR.filter(able);
  return MATRIX.map((row) => {
    if ("kernel" in row) return row;
    const [[upTo, fewest], [TILE_ROWS, TILE_OUTS, SLICE], groups, SPLIT = 1, AHEAD = 1] = row;
    const [ROW_GROUPS, OUT_GROUPS, K_GROUPS] = groups;
    const tiling = {
      TILE_ROWS,
      TILE_OUTS,
      SLICE,
      ROW_GROUPS,
      OUT_GROUPS,
      K_GROUPS,
      SPLIT,
      AHEAD,
    };
    return matrix(matrices, device, upTo, fewest, tiling);
  }).filter((variant) => variant !== null).filter(able);
}

/** The first variant that fits these sizes. */
export function chooseVariant<V extends Pick<LinearVariant, "upTo" | "fewest" | "work">>(
  variants: readonly V[],
  rows: number,
  out: number,
): V | undefined {
  return variants.find(({ upTo, fewest, work }) => rows <= upTo && work(rows, out, 0) >= fewest);
}

/** Those that `chooseVariant` takes for some number of rows up to `mostRows`: the others need not be compiled. */
export function variantsInUse<V extends Pick<LinearVariant, "upTo" | "fewest" | "work">>(
  variants: readonly V[],
  mostRows: number,
  out: number,
): readonly V[] {
  const used = new Set(
    Array.from({ length: mostRows }, (_, i) => chooseVariant(variants, i + 1, out)),
  );
  return variants.filter((variant) => used.has(variant));
}
