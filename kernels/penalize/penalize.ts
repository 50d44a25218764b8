import { defineKernel } from "../kernel.ts";
import step from "../shared/step.wgsl" with { type: "text" };
import source from "./penalize.wgsl" with { type: "text" };

export const penalize = defineKernel({
  name: "penalize",
  source,
  includes: [step],
  bindings: { step: "read", logits: "read", counts: "read", scores: "read_write" },
  constants: ["VOCAB"],
});

/** Bit of a count that says the token occurs in the prompt; the others count how often it was generated. */
export const IN_PROMPT = 0x8000_0000;

/** One workgroup for each 1,024 tokens of each row; `rows` is at most 65,535. */
export function penalizeWorkgroups(rows: number, vocab: number): readonly [number, number] {
  return [Math.ceil(vocab / 1024), rows];
}
