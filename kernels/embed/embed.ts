import { defineKernel } from "../kernel.ts";
import lora from "../shared/lora.wgsl" with { type: "text" };
import norm from "../shared/norm.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./embed.wgsl" with { type: "text" };

export const embed = defineKernel({
  name: "embed",
  source,
  includes: [step, unpack, pool, lora, reduce, norm],
  bindings: {
    step: "read",
    table: "read",
    last_token: "read",
    pool0: "read",
    pool1: "read",
    gamma: "read",
    h: "read_write",
    xn: "read_write",
  },
  constants: ["HIDDEN", "EPS", "BF16", "WORKGROUP", "PAGE_VECS", "SLAB_PAGES"],
});

/** One workgroup a token. */
export const embedWorkgroups = (tokens: number): readonly [number] => [tokens];
