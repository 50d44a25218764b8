import { defineKernel } from "../kernel.ts";
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import ranking from "../shared/ranking.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import source from "./sample.wgsl" with { type: "text" };

export const sample = defineKernel({
  name: "sample",
  source,
  includes: [step, reduce, ranking],
  bindings: {
    step: "read",
    scores: "read",
    counts: "read_write",
    last_token: "read_write",
    results: "read_write",
  },
  constants: ["VOCAB", "WORKGROUP"],
});

/** One workgroup of WORKGROUP invocations (a power of two from 16 to 1024) a row of logits; `rows` is at most 65,535. */
export function sampleWorkgroups(rows: number): readonly [number] {
  return [rows];
}
