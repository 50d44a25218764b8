import { defineKernel, type Kernel } from "./kernel.ts";
import dotTile from "./shared/dot_tile.wgsl" with { type: "text" };
import linear from "./shared/linear.wgsl" with { type: "text" };
import lora from "./shared/lora.wgsl" with { type: "text" };
import loraShrink from "./shared/lora_shrink.wgsl" with { type: "text" };
import pool from "./shared/pool.wgsl" with { type: "text" };
import step from "./shared/step.wgsl" with { type: "text" };
import unpack from "./shared/unpack.wgsl" with { type: "text" };

export type LinearBinding = "step" | "x" | "w" | "pool0" | "pool1" | "y" | "u";
export type LinearConstant =
  | "IN"
  | "OUT"
  | "DTYPE"
  | "MODULES"
  | "FIRST_MODULE"
  | "HEAD_POOL"
  | "PAGE_VECS"
  | "SLAB_PAGES";
export type LinearKernel = Kernel<LinearBinding, LinearConstant>;

/** How the kernels number the element types of W. */
export const WEIGHT_DTYPES = { f16: 0, bf16: 1, int8: 2 } as const;
export type MatrixDtype = keyof typeof WEIGHT_DTYPES;

/** Workgroups that share one of LoRA's shrink items, for workgroups of `threads` of which `lanes` share an output. */
export const shrinkSplit = (lanes: number, threads: number): number =>
  4 * lanes / Math.min(threads, 128);

/** A projection's contract: all bind the same and carry LoRA's shrink, and differ in how they tile. */
export function defineLinear(
  own: Pick<Kernel, "name" | "source" | "header" | "counts" | "features">,
): LinearKernel {
  return defineKernel({
    ...own,
    includes: [step, unpack, linear, pool, lora, dotTile, loraShrink],
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
      "DTYPE",
      "MODULES",
      "FIRST_MODULE",
      "HEAD_POOL",
      "PAGE_VECS",
      "SLAB_PAGES",
    ],
  });
}
