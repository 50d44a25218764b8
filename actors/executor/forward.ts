import { attentionDecodeWorkgroups } from "../../kernels/attention_decode/attention_decode.ts";
import { attentionMergeWorkgroups } from "../../kernels/attention_merge/attention_merge.ts";
import { attentionPrefillWorkgroups } from "../../kernels/attention_prefill/attention_prefill.ts";
import type { Pipeline } from "../../kernels/compiler.ts";
import { grid } from "../../kernels/grid.ts";
import type { LinearBinding } from "../../kernels/linear.ts";
import { logitsAdapterWork } from "../../kernels/logits_adapter/logits_adapter.ts";
import { penalizeWorkgroups } from "../../kernels/penalize/penalize.ts";
import { ropeKvWork } from "../../kernels/rope_kv/rope_kv.ts";
import { swigluWork } from "../../kernels/swiglu/swiglu.ts";
import type { StepPlanes } from "../../kernels/step_words.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import type { GpuBuffers, Pool } from "./gpu_buffers.ts";
import { chooseVariant } from "./linear_variants.ts";
import type { Pipelines } from "./pipelines.ts";
import type { StepPlan } from "./step_plan.ts";

type Linear = Pipelines["qkv"];

/** One dispatch: a pipeline, what it binds, and how many workgroups a step needs of it. */
interface Dispatch {
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: (step: StepCounts) => readonly [number, number?, number?];
}

/** Numbers of a step that sizes of dispatches follow from. */
interface StepCounts {
  readonly tokens: number;
  readonly logitRows: number;
  readonly shrinkItems: number;
  readonly headShrinkItems: number;
  readonly decodeItems: number;
  readonly decodeRows: number;
  readonly prefillTiles: number;
}

/**
 * The forward pass as a list of dispatches, bound once; `encode` writes a step's part of them into a pass.
 * A decode layer is ten dispatches: qkv, rope + KV write, attention, merge, o, residual + norm, gate/up,
 * SwiGLU, down, residual + norm; LoRA rides in them. Where no sequence's keys are shared out there is no merge.
 */
export class Forward {
  readonly #dispatches: Dispatch[] = [];
  readonly #head: Dispatch[];
  readonly #logitsAdapter: Dispatch;
  readonly #penalize: Dispatch;
  readonly #sampleRaw: Dispatch;
  readonly #sampleScores: Dispatch;
  readonly #logprobs: Dispatch;
  readonly #pipelines: Pipelines;

  constructor(
    config: ModelConfig,
    pipelines: Pipelines,
    buffers: GpuBuffers,
    weights: ReadonlyMap<string, GPUBuffer>,
    layerPools: readonly Pool[],
    headPool: Pool,
  ) {
    const weight = (name: string): GPUBuffer => {
      const buffer = weights.get(name);
      if (!buffer) throw new RangeError(`Cannot build the forward pass: no weight ${name}`);
      return buffer;
    };
    this.#pipelines = pipelines;
    const b = buffers;
    const add = (dispatch: Dispatch) => this.#dispatches.push(dispatch);
    const linear = (
      linear: Linear,
      x: GPUBuffer,
      w: GPUBuffer,
      y: GPUBuffer,
      pool: Pool,
    ): Dispatch[] => linearDispatches(linear, { step: b.step, x, w, y, u: b.u, ...pool });

    const perToken = ({ tokens }: StepCounts) => [tokens] as const;
    add({
      pipeline: pipelines.embed,
      group: pipelines.embed.bind({
        step: b.step,
        table: weight("embed"),
        last_token: b.last_token,
        ...headPool,
        gamma: weight("layers.0.input_norm"),
        h: b.h,
        xn: b.xn,
      }),
      workgroups: perToken,
    });

    const { heads, kvHeads, headDim, intermediateSize, vocabSize } = config;
    for (let i = 0; i < config.layers; i++) {
      const pool = layerPools[i];
      const attention = pipelines.attention.get(config.slidingWindow[i] ?? null);
      if (!pool || !attention) throw new RangeError(`Cannot build the forward pass: layer ${i}`);
      const name = (part: string) => `layers.${i}.${part}`;
      linear(pipelines.qkv, b.xn, weight(name("qkv")), b.qkv, pool).forEach(add);
      add({
        pipeline: pipelines.ropeKv,
        group: pipelines.ropeKv.bind({
          step: b.step,
          qkv: b.qkv,
          u: b.u,
          bias: config.qkvBias ? weight(name("qkv_bias")) : b.none,
          norms: config.qkNorm ? weight(name("qk_norm")) : b.none,
          rope: b.rope,
          ...pool,
          q: b.q,
        }),
        workgroups: ({ tokens }) => grid(ropeKvWork(tokens, heads, kvHeads, headDim)),
      });
      add({
        pipeline: attention.decode,
        group: attention.decode.bind({
          step: b.step,
          q: b.q,
          ...pool,
          partials: b.partials,
          out: b.attention,
        }),
        workgroups: ({ decodeItems }) => attentionDecodeWorkgroups(decodeItems, heads, kvHeads),
      });
      add({
        pipeline: attention.prefill,
        group: attention.prefill.bind({ step: b.step, q: b.q, ...pool, out: b.attention }),
        workgroups: ({ prefillTiles }) => attentionPrefillWorkgroups(prefillTiles, heads, kvHeads),
      });
      add({
        pipeline: pipelines.attentionMerge,
        group: pipelines.attentionMerge.bind({
          step: b.step,
          partials: b.partials,
          out: b.attention,
        }),
        workgroups: ({ decodeRows }) => attentionMergeWorkgroups(decodeRows, heads),
      });
      linear(pipelines.o, b.attention, weight(name("o")), b.y, pool).forEach(add);
      const residual = (pipeline: Pipelines["afterMlp"], gamma: string) =>
        add({
          pipeline,
          group: pipeline.bind({
            step: b.step,
            y: b.y,
            u: b.u,
            ...pool,
            gamma: weight(gamma),
            h: b.h,
            xn: b.xn,
          }),
          workgroups: perToken,
        });
      residual(pipelines.afterAttention, name("post_norm"));
      linear(pipelines.gateUp, b.xn, weight(name("gate_up")), b.gate_up, pool).forEach(add);
      add({
        pipeline: pipelines.swiglu,
        group: pipelines.swiglu.bind({
          step: b.step,
          gate_up: b.gate_up,
          u: b.u,
          ...pool,
          a: b.a,
        }),
        workgroups: ({ tokens }) => grid(swigluWork(tokens, intermediateSize)),
      });
      linear(pipelines.down, b.a, weight(name("down")), b.y, pool).forEach(add);
      const next = i + 1 < config.layers ? `layers.${i + 1}.input_norm` : "final_norm";
      residual(pipelines.afterMlp, next);
    }

    const lmHead = weight(weights.has("lm_head") ? "lm_head" : "embed");
    this.#head = linear(pipelines.lmHead, b.xn, lmHead, b.logits, headPool);
    this.#logitsAdapter = {
      pipeline: pipelines.logitsAdapter,
      group: pipelines.logitsAdapter.bind({
        step: b.step,
        u: b.u,
        ...headPool,
        logits: b.logits,
      }),
      workgroups: ({ logitRows }) => grid(logitsAdapterWork(logitRows, vocabSize)),
    };
    const perLogits = ({ logitRows }: StepCounts) => [logitRows] as const;
    this.#penalize = {
      pipeline: pipelines.penalize,
      group: pipelines.penalize.bind({
        step: b.step,
        logits: b.logits,
        counts: b.counts,
        scores: b.scores,
      }),
      workgroups: ({ logitRows }) => penalizeWorkgroups(logitRows, vocabSize),
    };
    const sample = (scores: GPUBuffer): Dispatch => ({
      pipeline: pipelines.sample,
      group: pipelines.sample.bind({
        step: b.step,
        scores,
        counts: b.counts,
        last_token: b.last_token,
        results: b.results,
      }),
      workgroups: perLogits,
    });
    this.#sampleRaw = sample(b.logits);
    this.#sampleScores = sample(b.scores);
    this.#logprobs = {
      pipeline: pipelines.logprobs,
      group: pipelines.logprobs.bind({ step: b.step, logits: b.logits, results: b.results }),
      workgroups: perLogits,
    };
  }

  /** In how many planes the projections of `tokens` rows leave their sums. */
  planes(tokens: number): StepPlanes {
    const of = ({ variants, out }: Linear) => chooseVariant(variants, tokens, out)?.planes ?? 1;
    const { qkv, o, gateUp, down } = this.#pipelines;
    return { qkv: of(qkv), o: of(o), gateUp: of(gateUp), down: of(down) };
  }

  /** Writes the dispatches of a step whose tables are already in the step buffer. */
  encode(pass: GPUComputePassEncoder, plan: StepPlan): void {
    for (const { write } of this.dispatches(plan)) write(pass);
  }

  /** The dispatches of a step in order, by kernel name. */
  *dispatches(
    plan: StepPlan,
  ): Generator<{ name: string; write(pass: GPUComputePassEncoder): void }> {
    const { tables } = plan;
    const counts: StepCounts = {
      tokens: tables.tokenCount,
      logitRows: tables.logitRows,
      shrinkItems: tables.shrinkItems.length / 4,
      headShrinkItems: tables.headShrinkItems.length / 4,
      decodeItems: tables.decodeItems.length / 4,
      decodeRows: tables.decodeRows.length / 4,
      prefillTiles: tables.prefillTiles.length / 2,
    };
    for (const { pipeline, group, workgroups } of this.#planned(plan, counts.logitRows)) {
      const [x, y = 1, z = 1] = workgroups(counts);
      if (x * y * z === 0) continue;
      yield {
        name: pipeline.name,
        write: (pass) => {
          pass.setPipeline(pipeline.pipeline);
          pass.setBindGroup(0, group);
          pass.dispatchWorkgroups(x, y, z);
        },
      };
    }
  }

  *#planned(plan: StepPlan, logitRows: number): Generator<Dispatch> {
    yield* this.#dispatches;
    if (logitRows === 0) return;
    yield* this.#head;
    if (plan.headAdapters) yield this.#logitsAdapter;
    if (plan.penalize) yield this.#penalize;
    yield plan.penalize ? this.#sampleScores : this.#sampleRaw;
    if (plan.logprobs) yield this.#logprobs;
  }
}

/** A projection, once for each of its variants; a step runs the one that fits its rows. */
function linearDispatches(
  { out, modules, head, variants }: Linear,
  buffers: Readonly<Record<LinearBinding, GPUBuffer>>,
): Dispatch[] {
  const rowsOf = (step: StepCounts) => head ? step.logitRows : step.tokens;
  const shrinkOf = (step: StepCounts) => (head ? step.headShrinkItems : step.shrinkItems) * modules;
  return variants.map((variant) => ({
    pipeline: variant.pipeline,
    group: variant.pipeline.bind(buffers),
    workgroups: (step) =>
      chooseVariant(variants, rowsOf(step), out) === variant
        ? grid(variant.work(rowsOf(step), out, shrinkOf(step)))
        : [0],
  }));
}
