import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import loraExpand from "../shared/lora_expand.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import poolStore from "../shared/pool_store.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./rope_kv.wgsl" with { type: "text" };

export const ropeKv = defineKernel({
  name: "rope_kv",
  source,
  includes: [step, unpack, pool, poolStore, lora, loraExpand],
  bindings: {
    step: "read",
    qkv: "read",
    u: "read",
    bias: "read",
    norms: "read",
    rope: "read",
    pool0: "read_write",
    pool1: "read_write",
    q: "read_write",
  },
  constants: [
    "HEADS",
    "KV_HEADS",
    "HEAD_DIM",
    "QKV_BIAS",
    "QK_NORM",
    "EPS",
    "PAGES_PER_BLOCK",
    "PAGE_VECS",
    "SLAB_PAGES",
  ],
});

/** Workgroups for `tokens`: as many whole heads a workgroup as 64 invocations hold. */
export function ropeKvWork(
  tokens: number,
  heads: number,
  kvHeads: number,
  headDim: number,
): number {
  const headsPerWorkgroup = Math.floor(64 / (headDim / 8));
  return tokens * Math.ceil((heads + 2 * kvHeads) / headsPerWorkgroup);
}
