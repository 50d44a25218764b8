import { defineKernel } from "../kernel.ts";
import step from "../shared/step.wgsl" with { type: "text" };
import source from "./attention_merge.wgsl" with { type: "text" };

export const attentionMerge = defineKernel({
  name: "attention_merge",
  source,
  includes: [step],
  bindings: { step: "read", partials: "read", out: "read_write" },
  constants: ["HEADS", "HEAD_DIM"],
});

/** One workgroup for each decode row and q head; `rows` is at most 65,535. */
export function attentionMergeWorkgroups(rows: number, heads: number): readonly [number, number] {
  return [rows, heads];
}
