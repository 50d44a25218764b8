import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { steppedRows } from "../../../actors/executor/results.ts";
import { planStep } from "../../../actors/executor/step_plan.ts";
import { RESULT_WORDS } from "../../../kernels/sample/results.ts";
import { f32Bits, NONE } from "../../../kernels/step_words.ts";
import { askedSteps } from "../../support/planned_steps.ts";

/** Numbers of logit row r that no other row has. */
const tokenOf = (r: number) => 1000 + r;
const logprobOf = (r: number) => -(r + 1) / 8;
const topOf = (r: number, count: number) =>
  Array.from({ length: count }, (_, i) => [r * 32 + i, -(r * 32 + i) / 16] as const);

Deno.test("steppedRows() gives each row of the step what its own logits came to, in order", () => {
  const shape = { kvHeads: 1, maxRoutes: 2, window: null, tileTokens: 64 };
  fc.assert(fc.property(askedSteps(), ({ rows, slots }) => {
    const plan = planStep(rows, slots, shape);
    const words = new Uint32Array(plan.tables.logitRows * RESULT_WORDS);
    plan.logitOwners.forEach(({ row, kind }, r) => {
      const top = slots[row]?.sampling.topLogprobs ?? (kind === "prompt" ? 0 : null);
      const at = r * RESULT_WORDS;
      words[at] = kind === "sample" ? tokenOf(r) : NONE;
      words[at + 1] = f32Bits(logprobOf(r));
      words[at + 3] = top ?? NONE;
      topOf(r, top ?? 0).forEach(([token, logprob], i) => {
        words[at + 4 + i] = token;
        words[at + 24 + i] = f32Bits(logprob);
      });
    });
    let r = 0;
    const expected = rows.map((row, index) => {
      const top = slots[index]?.sampling.topLogprobs ?? null;
      const report = (r: number, count: number) => ({
        logprob: logprobOf(r),
        top: topOf(r, count),
      });
      const targets = (row.promptTargets ?? []).filter((target) => target !== null);
      const promptLogprobs = targets.map(() => report(r++, top ?? 0));
      const drawn = row.sample ? r++ : null;
      return {
        slot: row.slot,
        token: drawn === null ? null : tokenOf(drawn),
        logprobs: drawn === null || top === null ? null : report(drawn, top),
        promptLogprobs,
      };
    });
    assertEquals(steppedRows(rows, plan, words), expected as ReturnType<typeof steppedRows>);
  }));
});
