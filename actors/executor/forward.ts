import { embedWorkgroups } from "../../kernels/embed/embed.ts";
import type { StepPlanes } from "../../kernels/step_words.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import {
  choose,
  type Chosen,
  type Dispatch,
  dispatched,
  type Linear,
  type LinearPlace,
  type StepCounts,
} from "./dispatch.ts";
import type { ForwardSite } from "./forward_site.ts";
import type { GpuBuffers, Pool } from "./gpu_buffers.ts";
import { type HeadDispatches, headDispatches, headOf } from "./head_dispatches.ts";
import { layerDispatches } from "./layer_dispatches.ts";
import { chooseVariant } from "./linear_variants.ts";
import type { Pipelines } from "./pipelines.ts";
import type { StepPlan } from "./step_plan.ts";

/** The forward pass as a list of dispatches, bound once; `encode` writes a step's part of them into a pass. */
export class Forward {
  readonly #dispatches: readonly (Dispatch | LinearPlace)[];
  readonly #head: HeadDispatches;
  readonly #pipelines: Pipelines;

  constructor(
    config: ModelConfig,
    pipelines: Pipelines,
    buffers: GpuBuffers,
    weights: ReadonlyMap<string, GPUBuffer>,
    layerPools: readonly Pool[],
    headPool: Pool,
  ) {
    this.#pipelines = pipelines;
    const weight = (name: string): GPUBuffer => {
      const buffer = weights.get(name);
      if (!buffer) throw new RangeError(`Cannot build the forward pass: no weight ${name}`);
      return buffer;
    };
    const site = { config, pipelines, buffers, weight };
    this.#dispatches = [
      embedding(site, headPool),
      ...layerPools.flatMap((pool, layer) => layerDispatches(site, layer, pool)),
    ];
    const lmHead = weight(weights.has("lm_head") ? "lm_head" : "embed");
    this.#head = headDispatches(site, lmHead, headPool);
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
      shrinkItems: tables.shrinkItems.map((items) => items.length / 4),
      headShrinkItems: tables.headShrinkItems.length / 4,
      decodeItems: tables.decodeItems.length / 4,
      decodeRows: tables.decodeRows.length / 4,
      prefillTiles: tables.prefillTiles.length / 2,
    };
    const chosen = new Map<Linear, Chosen>();
    for (const place of this.#planned(plan)) {
      if (!("linear" in place)) {
        yield* dispatched(place.pipeline, place.group, place.workgroups(counts));
        continue;
      }
      const { linear, groups } = place;
      const choice = chosen.get(linear) ?? choose(linear, counts);
      chosen.set(linear, choice);
      const { index, pipeline, workgroups } = choice;
      const group = groups[index];
      if (!group) throw new RangeError(`Cannot run step: ${pipeline.name} is not bound`);
      yield* dispatched(pipeline, group, workgroups);
    }
  }

  *#planned(plan: StepPlan): Generator<Dispatch | LinearPlace> {
    yield* this.#dispatches;
    if (plan.tables.logitRows > 0) yield* headOf(this.#head, plan);
  }
}

/** Looks the tokens up, and norms them for the first layer. */
function embedding(
  { pipelines: { embed }, buffers: b, weight }: ForwardSite,
  pool: Pool,
): Dispatch {
  return {
    pipeline: embed,
    group: embed.bind({
      step: b.step,
      table: weight("embed"),
      last_token: b.last_token,
      ...pool,
      gamma: weight("layers.0.input_norm"),
      h: b.h,
      xn: b.xn,
    }),
    workgroups: ({ tokens }) => embedWorkgroups(tokens),
  };
}
