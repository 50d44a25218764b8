import { defineKernel } from "../kernel.ts";
import dotTile from "../shared/dot_tile.wgsl" with { type: "text" };
import lora from "../shared/lora.wgsl" with { type: "text" };
import loraShrink from "../shared/lora_shrink.wgsl" with { type: "text" };
import pool from "../shared/pool.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./linear_rows.wgsl" with { type: "text" };

export const linearRows = defineKernel({
  name: "linear_rows",
  source,
  includes: [step, unpack, pool, lora, dotTile, loraShrink],
  bindings: {
    step: "read",
    x: "read",
    w: "read",
    pool0: "read",
    pool1: "read",
    y: "read_write",
    u: "read_write",
  },
  constants: [
    "IN",
    "OUT",
    "BF16",
    "MODULES",
    "FIRST_MODULE",
    "HEAD_POOL",
    "PAGE_VECS",
    "SLAB_PAGES",
  ],
});

/** Pieces of work: tiles of 16 outputs by 4 rows, then the shrink items of every module. */
export function linearRowsWork(rows: number, out: number, shrinkWork: number): number {
  return Math.ceil(rows / 4) * Math.ceil(out / 16) + shrinkWork;
}
