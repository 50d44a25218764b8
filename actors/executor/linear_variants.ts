import type { LinearKernel } from "../../kernels/linear.ts";
import { linearBatch, linearBatchWork } from "../../kernels/linear_batch/linear_batch.ts";
import { linearMatrix, linearMatrixWork } from "../../kernels/linear_matrix/linear_matrix.ts";
import { linearRows, linearRowsWork } from "../../kernels/linear_rows/linear_rows.ts";
import { linearTiles, linearTilesWork } from "../../kernels/linear_tiles/linear_tiles.ts";

/** A way to compute a projection, the best there is up to `upTo` rows (docs/performance.md has the times). */
export interface LinearVariant {
  readonly kernel: LinearKernel;
  readonly header: Readonly<Record<string, number>>;
  readonly upTo: number;
  /** Workgroups in all, for a number of rows, of outputs, and of shrink items times modules. */
  work(rows: number, out: number, shrinkWork: number): number;
}

const rows = (upTo: number, ROWS: number, LANES: number): LinearVariant => ({
  kernel: linearRows,
  header: { ROWS, LANES },
  upTo,
  work: (...sizes) => linearRowsWork({ ROWS, LANES }, ...sizes),
});

const batch = (upTo: number, ROWS: number): LinearVariant => ({
  kernel: linearBatch,
  header: { ROWS },
  upTo,
  work: (...sizes) => linearBatchWork({ ROWS }, ...sizes),
});

const matrix = (
  upTo: number,
  [TILE_ROWS, TILE_OUTS, SLICE]: readonly [number, number, number],
  [ROW_GROUPS, OUT_GROUPS, K_GROUPS]: readonly [number, number, number],
): LinearVariant => {
  const header = { TILE_ROWS, TILE_OUTS, SLICE, ROW_GROUPS, OUT_GROUPS, K_GROUPS };
  return {
    kernel: linearMatrix,
    header,
    upTo,
    work: (...sizes) => linearMatrixWork(header, ...sizes),
  };
};

const VECTOR: readonly LinearVariant[] = [
  rows(1, 1, 128),
  rows(4, 4, 64),
  batch(8, 8),
  batch(96, 16),
  { kernel: linearTiles, header: {}, upTo: Infinity, work: linearTilesWork },
];

const MATRIX: readonly LinearVariant[] = [
  rows(1, 1, 128),
  rows(4, 4, 64),
  matrix(16, [16, 64, 128], [1, 4, 2]),
  matrix(32, [32, 64, 128], [1, 4, 2]),
  matrix(64, [64, 64, 64], [2, 2, 1]),
  matrix(Infinity, [128, 128, 32], [2, 2, 1]),
];

/** The variants for a device with these features, by rising `upTo`. */
export function linearVariants(
  features: Pick<ReadonlySet<string>, "has">,
): readonly LinearVariant[] {
  const needed = linearMatrix.features ?? [];
  return needed.every((feature) => features.has(feature)) ? MATRIX : VECTOR;
}
