import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import poolStore from "../shared/pool_store.wgsl" with { type: "text" };
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./dora_gain.wgsl" with { type: "text" };

export const doraGain = defineKernel({
  name: "dora_gain",
  source,
  includes: [unpack, pool, poolStore, lora, reduce],
  bindings: {
    job: "read",
    w: "read",
    pool0: "read_write",
    pool1: "read_write",
  },
  constants: [
    "IN",
    "OUT",
    "ROW0",
    "FUSED",
    "MODULE",
    "DTYPE",
    "WORKGROUP",
    "PAGE_VECS",
    "SLAB_PAGES",
  ],
});

/** One workgroup four outputs. */
export const doraGainWork = (out: number): number => Math.ceil(out / 4);
