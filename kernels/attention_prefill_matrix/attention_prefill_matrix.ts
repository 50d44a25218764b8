import { defineKernel } from "../kernel.ts";
import { MATRIX_FEATURES, type WorkgroupLimits } from "../matrix_units.ts";
import kvLoad from "../shared/kv_load.wgsl" with { type: "text" };
import kvTile from "../shared/kv_tile.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./attention_prefill_matrix.wgsl" with { type: "text" };

/** Matrices and loads of an invocation: whole numbers, where the tile suits the subgroups. */
function counts(
  { HEAD_DIM = 0, KEYS = 0, MATRIX = 1, SUBGROUP = 1 }: Readonly<Record<string, number>>,
) {
  const columns = Math.ceil(HEAD_DIM / MATRIX);
  const lanesARow = SUBGROUP / MATRIX;
  const threads = threadsOf(MATRIX, SUBGROUP);
  return {
    COLUMN_BLOCKS: columns,
    KEY_BLOCKS: KEYS / MATRIX,
    LOADS: Math.ceil(KEYS * columns * MATRIX / 8 / threads),
    PART_EIGHTS: KEYS / lanesARow / 8,
    ROW_BITS: Math.log2(lanesARow),
  };
}

/** Binds what attention_prefill binds, and runs as many workgroups. */
export const attentionPrefillMatrix = defineKernel({
  name: "attention_prefill_matrix",
  source,
  includes: [step, unpack, pool, kvLoad, kvTile],
  bindings: { step: "read", q: "read", pool0: "read", pool1: "read", out: "read_write" },
  constants: ["HEADS", "KV_HEADS", "WINDOW", "PAGES_PER_BLOCK", "PAGE_VECS", "SLAB_PAGES"],
  header: ["HEAD_DIM", "KEYS", "MATRIX", "SUBGROUP"],
  counts,
  features: MATRIX_FEATURES,
});

/** Rows (token, q head) of a workgroup. */
const ROWS = 64;

const threadsOf = (matrix: number, subgroup: number) => ROWS / matrix * subgroup;

interface PrefillTile {
  readonly HEAD_DIM: number;
  readonly KEYS: number;
  readonly MATRIX: number;
  readonly SUBGROUP: number;
}

/** Whether subgroups of this size share the tile evenly, in workgroups that the device can have. */
export function attentionPrefillMatrixFits(
  tile: PrefillTile,
  { workgroupBytes, lanes }: WorkgroupLimits,
): boolean {
  const { HEAD_DIM, KEYS, MATRIX, SUBGROUP } = tile;
  const stride = Math.ceil(HEAD_DIM / MATRIX) * MATRIX / 8 + 1;
  const bytes = Math.max(KEYS * stride + ROWS * (KEYS / 4 + 1), ROWS * stride) * 16 + 16;
  return bytes <= workgroupBytes && threadsOf(MATRIX, SUBGROUP) <= lanes &&
    Object.values(counts({ ...tile })).every((count) => Number.isInteger(count) && count >= 0);
}
