import { defineKernel } from "../kernel.ts";
import ranking from "../shared/ranking.wgsl" with { type: "text" };
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import step from "../shared/step.wgsl" with { type: "text" };
import source from "./logprobs.wgsl" with { type: "text" };

export const logprobs = defineKernel({
  name: "logprobs",
  source,
  includes: [step, reduce, ranking],
  bindings: { step: "read", logits: "read", results: "read_write" },
  constants: ["VOCAB", "WORKGROUP"],
});

/**
 * One workgroup of WORKGROUP invocations (a power of two, at most 1024) a row of logits; after `sample`, whose
 * tokens it reads. `rows` is at most 65,535.
 */
export function logprobsWorkgroups(rows: number): readonly [number] {
  return [rows];
}
