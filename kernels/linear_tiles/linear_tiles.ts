import { defineLinear } from "../linear.ts";
import { vectorShrink } from "../shared/lora_shrink.ts";
import source from "./linear_tiles.wgsl" with { type: "text" };

export const linearTiles = defineLinear({ name: "linear_tiles", source, includes: vectorShrink });

/** Pieces of work: tiles of 128 rows by 128 outputs, then the shrink items. */
export function linearTilesWork(rows: number, out: number, shrinkItems: number): number {
  return Math.ceil(rows / 128) * Math.ceil(out / 128) + shrinkItems;
}
