import { defineKernel, type Kernel } from "./kernel.ts";
import linear from "./shared/linear.wgsl" with { type: "text" };
import lora from "./shared/lora.wgsl" with { type: "text" };
import shrinkItems from "./shared/shrink_items.wgsl" with { type: "text" };
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

/** A projection's contract: all bind the same and carry LoRA's shrink, and differ in how they tile. */
export function defineLinear(
  { includes, ...own }:
    & Pick<Kernel, "name" | "source" | "header" | "counts" | "features">
    /** Its way to shrink, and what else is its own. */
    & { readonly includes: readonly string[] },
): LinearKernel {
  return defineKernel({
    ...own,
    includes: [step, unpack, linear, pool, lora, shrinkItems, ...includes],
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
