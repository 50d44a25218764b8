import { defineKernel } from "../kernel.ts";
import kvLoad from "../shared/kv_load.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./attention_decode.wgsl" with { type: "text" };

export const attentionDecode = defineKernel({
  name: "attention_decode",
  source,
  includes: [step, unpack, pool, kvLoad],
  bindings: {
    step: "read",
    q: "read",
    pool0: "read",
    pool1: "read",
    partials: "read_write",
    out: "read_write",
  },
  constants: [
    "HEADS",
    "KV_HEADS",
    "HEAD_DIM",
    "WINDOW",
    "PAGES_PER_BLOCK",
    "PAGE_VECS",
    "SLAB_PAGES",
  ],
});

/** Most q heads that may share a kv head, and the widest head: the kernel has its slots by fours. */
export const MAX_GROUP = 16;
export const MAX_HEAD_DIM = 256;

/**
 * One workgroup for each work item and up to four q heads of a kv head, those of one kv head side by side, so that
 * they share its keys and values in the cache; `items` is at most 65,535.
 */
export function attentionDecodeWorkgroups(
  items: number,
  heads: number,
  kvHeads: number,
): readonly [number, number] {
  return [kvHeads * Math.ceil(heads / kvHeads / 4), items];
}

/** 32-bit words of the partial results of `items`. */
export function partialWords(items: number, heads: number, headDim: number): number {
  return items * heads * (headDim + 4);
}
