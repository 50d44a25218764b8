import { readResult, type SampleResult } from "../../kernels/sample/results.ts";
import type { TokenLogprobs } from "../sampling.ts";
import type { Row, SteppedRow } from "./protocol.ts";
import type { StepPlan } from "./step_plan.ts";

/** Sorts the GPU's result rows back to the rows of the step. */
export function steppedRows(
  rows: readonly Row[],
  plan: StepPlan,
  results: Uint32Array<ArrayBuffer>,
): SteppedRow[] {
  const out = rows.map((row) => ({
    slot: row.slot,
    token: null as number | null,
    logprobs: null as TokenLogprobs | null,
    promptLogprobs: [] as TokenLogprobs[],
  }));
  for (const [index, owner] of plan.logitOwners.entries()) {
    const row = out[owner.row];
    if (!row) {
      throw new RangeError(`Cannot read results: no row of the step, received ${owner.row}`);
    }
    const result = readResult(results, index);
    const logprobs = result.logprobs && asLogprobs(result.logprobs);
    if (owner.kind === "sample") {
      row.token = result.token;
      row.logprobs = logprobs;
    } else if (logprobs) row.promptLogprobs.push(logprobs);
  }
  return out;
}

const asLogprobs = ({ logprob, top }: NonNullable<SampleResult["logprobs"]>): TokenLogprobs => ({
  logprob,
  top: top.map((entry) => [entry.token, entry.logprob]),
});
