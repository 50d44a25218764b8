import { readResult } from "../../kernels/sample/results.ts";
import type { TokenLogprobs } from "../sampling.ts";
import type { Row, SteppedRow } from "./protocol.ts";
import type { StepPlan } from "./step_plan.ts";

/** Sorts the GPU's result rows back to the rows of the step. */
export function steppedRows(
  rows: readonly Row[],
  plan: StepPlan,
  results: ArrayBuffer,
): SteppedRow[] {
  const out = rows.map((row) => ({
    slot: row.slot,
    token: null as number | null,
    logprobs: null as TokenLogprobs | null,
    promptLogprobs: [] as TokenLogprobs[],
  }));
  for (const [index, owner] of plan.logitOwners.entries()) {
    const row = out[owner.row];
    if (!row) continue;
    const { token, logprobs } = readResult(results, index);
    if (owner.kind === "sample") {
      row.token = token;
      row.logprobs = logprobs;
    } else if (logprobs) row.promptLogprobs.push(logprobs);
  }
  return out;
}
