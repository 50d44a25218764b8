import { grid } from "../../kernels/grid.ts";
import { logitsAdapterWork } from "../../kernels/logits_adapter/logits_adapter.ts";
import { logprobsWorkgroups } from "../../kernels/logprobs/logprobs.ts";
import { penalizeWorkgroups } from "../../kernels/penalize/penalize.ts";
import { sampleWorkgroups } from "../../kernels/sample/sample.ts";
import type { Dispatch, LinearPlace } from "./dispatch.ts";
import { bindLinear, type ForwardSite } from "./forward_site.ts";
import type { Pool } from "./gpu_buffers.ts";
import type { StepPlan } from "./step_plan.ts";

/** What follows the layers; a step takes of it what its rows ask for. */
export interface HeadDispatches {
  readonly head: LinearPlace;
  readonly logitsAdapter: Dispatch;
  readonly penalize: Dispatch;
  /** From the logits, and from the scores that `penalize` makes of them. */
  readonly sampleRaw: Dispatch;
  readonly sampleScores: Dispatch;
  readonly logprobs: Dispatch;
}

/** `lmHead`: the head's matrix, which may be the table of embeddings. */
export function headDispatches(site: ForwardSite, lmHead: GPUBuffer, pool: Pool): HeadDispatches {
  const { config: { vocabSize }, pipelines, buffers: b } = site;
  const { logitsAdapter, penalize, sample, logprobs } = pipelines;
  const sampleFrom = (scores: GPUBuffer): Dispatch => ({
    pipeline: sample,
    group: sample.bind({
      step: b.step,
      scores,
      counts: b.counts,
      last_token: b.last_token,
      results: b.results,
    }),
    workgroups: ({ logitRows }) => sampleWorkgroups(logitRows),
  });
  return {
    head: bindLinear(site, pipelines.lmHead, { x: b.xn, w: lmHead, y: b.logits }, pool),
    logitsAdapter: {
      pipeline: logitsAdapter,
      group: logitsAdapter.bind({ step: b.step, u: b.u, ...pool, logits: b.logits }),
      workgroups: ({ logitRows }) => grid(logitsAdapterWork(logitRows, vocabSize)),
    },
    penalize: {
      pipeline: penalize,
      group: penalize.bind({ step: b.step, logits: b.logits, counts: b.counts, scores: b.scores }),
      workgroups: ({ logitRows }) => penalizeWorkgroups(logitRows, vocabSize),
    },
    sampleRaw: sampleFrom(b.logits),
    sampleScores: sampleFrom(b.scores),
    logprobs: {
      pipeline: logprobs,
      group: logprobs.bind({ step: b.step, logits: b.logits, results: b.results }),
      workgroups: ({ logitRows }) => logprobsWorkgroups(logitRows),
    },
  };
}

/** Those of them that a step needs, in order. */
export function* headOf(
  { head, logitsAdapter, penalize, sampleRaw, sampleScores, logprobs }: HeadDispatches,
  plan: Pick<StepPlan, "headAdapters" | "penalize" | "logprobs">,
): Generator<Dispatch | LinearPlace> {
  yield head;
  if (plan.headAdapters) yield logitsAdapter;
  if (plan.penalize) yield penalize;
  yield plan.penalize ? sampleScores : sampleRaw;
  if (plan.logprobs) yield logprobs;
}
