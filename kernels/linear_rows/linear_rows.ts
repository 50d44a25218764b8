import { defineLinear } from "../linear.ts";
import { shrinkSplit, vectorShrink } from "../shared/lora_shrink.ts";
import source from "./linear_rows.wgsl" with { type: "text" };

export const linearRows = defineLinear({
  name: "linear_rows",
  source,
  includes: vectorShrink,
  header: ["ROWS", "OUTS", "LANES", "GROUPS"],
});

/** Rows of x and outputs that a lane sums, lanes along k that share them, and such groups a workgroup. */
export type RowsTiling = Readonly<Record<"ROWS" | "OUTS" | "LANES" | "GROUPS", number>>;

/** Pieces of work: tiles of ROWS rows by GROUPS * OUTS outputs, then the shrink items. */
export function linearRowsWork(
  { ROWS, OUTS, LANES, GROUPS }: RowsTiling,
  rows: number,
  out: number,
  shrinkItems: number,
): number {
  return Math.ceil(rows / ROWS) * Math.ceil(out / (GROUPS * OUTS)) +
    shrinkItems * shrinkSplit(LANES, LANES * GROUPS);
}
