import type { Compiler } from "../../kernels/compiler.ts";
import type { LinearKernel } from "../../kernels/linear.ts";
import {
  linearMatrix,
  linearMatrixBytes,
  linearMatrixWork,
  type MatrixTiling,
} from "../../kernels/linear_matrix/linear_matrix.ts";
import type { MatrixUnits } from "../../kernels/matrix_units.ts";
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

/** A tiling for matrix units; null where it takes more than `memory` bytes of a workgroup. */
const matrix = (
  units: MatrixUnits,
  memory: number,
  upTo: number,
  fewest: number,
  tiling: MatrixTiling,
): LinearVariant | null => {
  if (linearMatrixBytes(tiling) > memory) return null;
  return {
    kernel: linearMatrix,
    header: { ...tiling, MATRIX: units.size, SUBGROUP: units.subgroup },
    upTo,
    fewest,
    work: (...sizes) => linearMatrixWork(tiling, units, ...sizes),
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

/** Up to how many rows, from how many workgroups on; tile of rows x outputs, slice; subgroups that share them. */
type MatrixRow = readonly [
  limits: readonly [upTo: number, fewest: number],
  tile: readonly [rows: number, outputs: number, slice: number],
  groups: readonly [rows: number, outputs: number, k: number],
];

const MATRIX: readonly (MatrixRow | LinearVariant)[] = [
  rows(1, [1, 4], [128, 1]),
  rows(4, [4, 4], [64, 2]),
  [[16, PLENTY], [16, 64, 128], [1, 4, 2]],
  rows(8, [8, 4], [64, 2]),
  [[16, 0], [16, 16, 256], [1, 1, 4]],
  [[32, PLENTY], [32, 32, 64], [1, 2, 2]],
  [[32, 0], [32, 32, 128], [1, 2, 4]],
  [[64, FULL], [64, 64, 64], [2, 2, 1]],
  [[64, 0], [64, 32, 128], [2, 1, 4]],
  [[128, FULL], [128, 128, 32], [2, 2, 1]],
  [[128, 0], [128, 32, 128], [4, 1, 2]],
  [[Infinity, PLENTY], [256, 128, 32], [4, 2, 1]],
  [[Infinity, FULL], [128, 128, 64], [2, 2, 1]],
  [[Infinity, 0], [128, 32, 128], [4, 1, 2]],
  // Where workgroups have 32 KiB: what is above and does not fit is left out.
  [[Infinity, 0], [64, 64, 64], [2, 2, 1]],
];

/** The variants for a device, in order of preference; the last one serves any sizes. */
export function linearVariants(
  { matrices, workgroupBytes }: Pick<Compiler, "matrices" | "workgroupBytes">,
): readonly LinearVariant[] {
  if (!matrices) return VECTOR;
  return MATRIX.map((row) => {
    if ("kernel" in row) return row;
    const [[upTo, fewest], [TILE_ROWS, TILE_OUTS, SLICE], groups] = row;
    const [ROW_GROUPS, OUT_GROUPS, K_GROUPS] = groups;
    const tiling = { TILE_ROWS, TILE_OUTS, SLICE, ROW_GROUPS, OUT_GROUPS, K_GROUPS };
    return matrix(matrices, workgroupBytes, upTo, fewest, tiling);
  }).filter((variant) => variant !== null);
}

/** The first variant that fits these sizes. */
export function chooseVariant<V extends Pick<LinearVariant, "upTo" | "fewest" | "work">>(
  variants: readonly V[],
  rows: number,
  out: number,
): V | undefined {
  return variants.find(({ upTo, fewest, work }) => rows <= upTo && work(rows, out, 0) >= fewest);
}
