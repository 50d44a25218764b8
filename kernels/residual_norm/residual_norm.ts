import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import loraExpand from "../shared/lora_expand.wgsl" with { type: "text" };
import norm from "../shared/norm.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./residual_norm.wgsl" with { type: "text" };

export const residualNorm = defineKernel({
  name: "residual_norm",
  source,
  includes: [step, unpack, pool, lora, loraExpand, reduce, norm],
  bindings: {
    step: "read",
    y: "read",
    u: "read",
    pool0: "read",
    pool1: "read",
    gamma: "read",
    h: "read_write",
    xn: "read_write",
  },
  constants: ["HIDDEN", "EPS", "MODULE", "WORKGROUP", "PAGE_VECS", "SLAB_PAGES"],
});

/** One workgroup a token. */
export const residualNormWorkgroups = (tokens: number): readonly [number] => [tokens];
