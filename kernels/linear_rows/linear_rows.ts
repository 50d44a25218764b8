import { defineLinear } from "../linear.ts";
import source from "./linear_rows.wgsl" with { type: "text" };

export const linearRows = defineLinear({
  name: "linear_rows",
  source,
  header: ["ROWS", "LANES"],
});

/** Rows of x a workgroup (1, 4 or 8) and lanes along k that share an output (32, 64 or 128). */
export type RowsTiling = Readonly<Record<"ROWS" | "LANES", number>>;

/** Pieces of work: tiles of ROWS rows by 512 / LANES outputs, then the shrink items of every module. */
export function linearRowsWork(
  { ROWS, LANES }: RowsTiling,
  rows: number,
  out: number,
  shrinkWork: number,
): number {
  return Math.ceil(rows / ROWS) * Math.ceil(out / (512 / LANES)) + shrinkWork * (LANES / 32);
}
