import dotTile from "./dot_tile.wgsl" with { type: "text" };
import fma8 from "./fma8.wgsl" with { type: "text" };
import loraShrink from "./lora_shrink.wgsl" with { type: "text" };

/** LoRA's shrink for projections without matrix units. */
export const vectorShrink = [fma8, dotTile, loraShrink];

/** Workgroups that share one of its items, for workgroups of `threads`; at least 32 lanes share a rank row. */
export const shrinkSplit = (lanes: number, threads: number): number =>
  4 * Math.max(lanes, 32) / Math.min(threads, 128);
