import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import poolStore from "../shared/pool_store.wgsl" with { type: "text" };
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./dora_gain_embed.wgsl" with { type: "text" };

export const doraGainEmbed = defineKernel({
  name: "dora_gain_embed",
  source,
  includes: [unpack, pool, poolStore, lora, reduce],
  bindings: {
    job: "read",
    w: "read",
    pool0: "read_write",
    pool1: "read_write",
  },
  constants: ["HIDDEN", "VOCAB", "BF16", "WORKGROUP", "PAGE_VECS", "SLAB_PAGES"],
});

/** One workgroup eight columns. */
export const doraGainEmbedWork = (hidden: number): number => hidden / 8;
