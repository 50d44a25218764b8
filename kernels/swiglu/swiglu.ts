import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import loraExpand from "../shared/lora_expand.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./swiglu.wgsl" with { type: "text" };

export const swiglu = defineKernel({
  name: "swiglu",
  source,
  includes: [step, unpack, pool, lora, loraExpand],
  bindings: {
    step: "read",
    gate_up: "read",
    u: "read",
    pool0: "read",
    pool1: "read",
    a: "read_write",
  },
  constants: ["INTERMEDIATE", "PAGE_VECS", "SLAB_PAGES"],
});

/** Workgroups: 64 times eight columns of one token in each. */
export const swigluWork = (tokens: number, intermediate: number): number =>
  Math.ceil((tokens * intermediate) / 8 / 64);
