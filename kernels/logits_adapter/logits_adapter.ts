import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import loraExpand from "../shared/lora_expand.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./logits_adapter.wgsl" with { type: "text" };

export const logitsAdapter = defineKernel({
  name: "logits_adapter",
  source,
  includes: [step, unpack, pool, lora, loraExpand],
  bindings: {
    step: "read",
    u: "read",
    pool0: "read",
    pool1: "read",
    logits: "read_write",
  },
  constants: ["VOCAB", "PAGE_VECS", "SLAB_PAGES"],
});

/** 64 invocations a workgroup, eight columns of one row of logits each. */
export const logitsAdapterWork = (rows: number, vocab: number): number =>
  Math.ceil((rows * Math.ceil(vocab / 8)) / 64);
