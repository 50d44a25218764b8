import type { LinearKernel } from "../../kernels/linear.ts";
import { linearMatrix, linearMatrixWork } from "../../kernels/linear_matrix/linear_matrix.ts";
import { linearRows, linearRowsWork } from "../../kernels/linear_rows/linear_rows.ts";
import { linearTiles, linearTilesWork } from "../../kernels/linear_tiles/linear_tiles.ts";

/** A way to compute a projection; docs/performance.md has the times that the limits follow from. */
export interface LinearVariant {
  readonly kernel: LinearKernel;
  readonly header: Readonly<Record<string, number>>;
  /** Most rows it is meant for. */
  readonly upTo: number;
  /** Fewest workgroups worth it: what few wide tiles save in traffic they lose in idle processors. */
  readonly fewest: number;
  /** Workgroups in all, for a number of rows, of outputs, and of shrink items times modules. */
  work(rows: number, out: number, shrinkWork: number): number;
}

/** About as many workgroups as a large GPU has processors. */
const FULL = 128;

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
    fewest: 0,
    work: (...sizes) => linearRowsWork(header, ...sizes),
  };
};

const matrix = (
  upTo: number,
  fewest: number,
  [TILE_ROWS, TILE_OUTS, SLICE]: readonly [number, number, number],
  [ROW_GROUPS, OUT_GROUPS, K_GROUPS]: readonly [number, number, number],
): LinearVariant => {
  const header = { TILE_ROWS, TILE_OUTS, SLICE, ROW_GROUPS, OUT_GROUPS, K_GROUPS };
  return {
    kernel: linearMatrix,
    header,
    upTo,
    fewest,
    work: (...sizes) => linearMatrixWork(header, ...sizes),
  };
};

const VECTOR: readonly LinearVariant[] = [
  rows(1, [1, 4], [128, 1]),
  rows(4, [4, 4], [64, 2]),
  rows(8, [8, 4], [64, 2]),
  rows(16, [16, 4], [32, 4]),
  rows(64, [16, 8], [32, 4]),
  { kernel: linearTiles, header: {}, upTo: Infinity, fewest: FULL, work: linearTilesWork },
  rows(Infinity, [16, 8], [32, 4]),
];

/** Several workgroups for each processor: wide outputs, where narrow tiles would only read x more often. */
const PLENTY = 256;

const MATRIX: readonly LinearVariant[] = [
  rows(1, [1, 4], [128, 1]),
  rows(4, [4, 4], [64, 2]),
  matrix(16, PLENTY, [16, 64, 128], [1, 4, 2]),
  rows(8, [8, 4], [64, 2]),
  matrix(16, 0, [16, 16, 256], [1, 1, 4]),
  matrix(32, PLENTY, [32, 32, 64], [1, 2, 2]),
  matrix(32, 0, [32, 32, 128], [1, 2, 4]),
  matrix(64, FULL, [64, 64, 64], [2, 2, 1]),
  matrix(64, 0, [64, 32, 128], [2, 1, 4]),
  matrix(128, FULL, [128, 128, 32], [2, 2, 1]),
  matrix(128, 0, [128, 32, 128], [4, 1, 2]),
  matrix(Infinity, PLENTY, [256, 128, 32], [4, 2, 1]),
  matrix(Infinity, FULL, [128, 128, 64], [2, 2, 1]),
  matrix(Infinity, 0, [128, 32, 128], [4, 1, 2]),
];

/** The variants for a device with these features, in order of preference. */
export function linearVariants(
  features: Pick<ReadonlySet<string>, "has">,
): readonly LinearVariant[] {
  const needed = linearMatrix.features ?? [];
  return needed.every((feature) => features.has(feature)) ? MATRIX : VECTOR;
}

/** The first variant that fits these sizes. */
export function chooseVariant<V extends Pick<LinearVariant, "upTo" | "fewest" | "work">>(
  variants: readonly V[],
  rows: number,
  out: number,
): V | undefined {
  return variants.find(({ upTo, fewest, work }) => rows <= upTo && work(rows, out, 0) >= fewest);
}
