import { defineKernel } from "../kernel.ts";
import kvLoad from "../shared/kv_load.wgsl" with { type: "text" };
import kvTile from "../shared/kv_tile.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./attention_prefill.wgsl" with { type: "text" };

export const attentionPrefill = defineKernel({
  name: "attention_prefill",
  source,
  includes: [step, unpack, pool, kvLoad, kvTile],
  bindings: { step: "read", q: "read", pool0: "read", pool1: "read", out: "read_write" },
  constants: ["HEADS", "KV_HEADS", "WINDOW", "PAGES_PER_BLOCK", "PAGE_VECS", "SLAB_PAGES"],
  header: ["HEAD_DIM"],
});

/** Most tokens of a tile. */
export const PREFILL_TILE = 64;

/**
 * Workgroups for `tiles` (at most 65,535): for each kv head of each tile as many as the rows (token, q head) of a
 * full tile take, 64 each; those past a shorter tile's end leave at once.
 */
export function attentionPrefillWorkgroups(
  tiles: number,
  heads: number,
  kvHeads: number,
): readonly [number, number, number] {
  return [kvHeads, heads / kvHeads, tiles];
}
