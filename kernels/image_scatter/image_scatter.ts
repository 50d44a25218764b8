import { defineKernel } from "../kernel.ts";
import pool from "../shared/pool.wgsl" with { type: "text" };
import poolStore from "../shared/pool_store.wgsl" with { type: "text" };
import source from "./image_scatter.wgsl" with { type: "text" };

export const imageScatter = defineKernel({
  name: "image_scatter",
  source,
  includes: [pool, poolStore],
  bindings: {
    copy_index: "read",
    job: "read",
    staged: "read",
    pool0: "read_write",
    pool1: "read_write",
  },
  constants: ["WORKGROUP", "PAGE_VECS", "SLAB_PAGES"],
});

export const SCATTER_LANES = 256;
/** Words of the job before its page list. */
export const SCATTER_HEADER = 4;

/** Workgroups for `pages` pages of one copy. */
export const imageScatterWorkgroups = (pageVecs: number, pages: number): [number, number] => [
  Math.ceil(pageVecs / SCATTER_LANES),
  pages,
];
