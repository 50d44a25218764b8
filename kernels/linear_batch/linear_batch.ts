import { defineLinear } from "../linear.ts";
import source from "./linear_batch.wgsl" with { type: "text" };

export const linearBatch = defineLinear({ name: "linear_batch", source, header: ["ROWS"] });

/** Rows of x a workgroup: 8 or 16. */
export type BatchTiling = Readonly<Record<"ROWS", number>>;

/** Pieces of work: tiles of ROWS rows by 16 outputs, then the shrink items of every module. */
export function linearBatchWork(
  { ROWS }: BatchTiling,
  rows: number,
  out: number,
  shrinkWork: number,
): number {
  return Math.ceil(rows / ROWS) * Math.ceil(out / 16) + shrinkWork;
}
