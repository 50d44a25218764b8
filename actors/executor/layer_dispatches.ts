import { attentionDecodeWorkgroups } from "../../kernels/attention_decode/attention_decode.ts";
import { attentionMergeWorkgroups } from "../../kernels/attention_merge/attention_merge.ts";
import { attentionPrefillWorkgroups } from "../../kernels/attention_prefill/attention_prefill.ts";
import { grid } from "../../kernels/grid.ts";
import { residualNormWorkgroups } from "../../kernels/residual_norm/residual_norm.ts";
import { ropeKvWork } from "../../kernels/rope_kv/rope_kv.ts";
import { swigluWork } from "../../kernels/swiglu/swiglu.ts";
import type { Dispatch, LinearPlace } from "./dispatch.ts";
import { bindLinear, type ForwardSite } from "./forward_site.ts";
import type { Pool } from "./gpu_buffers.ts";

/**
 * A layer's dispatches in order. In decode they are ten: qkv, rope + KV write, attention, merge, o, residual + norm,
 * gate/up, SwiGLU, down, residual + norm; LoRA rides in them. Where no sequence's keys are shared out there is no merge.
 */
export function layerDispatches(
  site: ForwardSite,
  layer: number,
  pool: Pool,
): (Dispatch | LinearPlace)[] {
  const { config, pipelines, weight } = site;
  const own = (part: string) => weight(`layers.${layer}.${part}`);
  const last = layer + 1 === config.layers;
  return [
    ...attentionDispatches(site, layer, pool),
    residual(site, pipelines.afterAttention, own("post_norm"), pool),
    ...mlpDispatches(site, own, pool),
    residual(
      site,
      pipelines.afterMlp,
      weight(last ? "final_norm" : `layers.${layer + 1}.input_norm`),
      pool,
    ),
  ];
}

function attentionDispatches(
  site: ForwardSite,
  layer: number,
  pool: Pool,
): (Dispatch | LinearPlace)[] {
  const { config, pipelines, buffers: b, weight } = site;
  const { heads, kvHeads, headDim, qkvBias, qkNorm } = config;
  const own = (part: string) => weight(`layers.${layer}.${part}`);
  const { ropeKv, attentionMerge } = pipelines;
  const attention = pipelines.attention.get(config.slidingWindow[layer] ?? null);
  if (!attention) throw new RangeError(`Cannot build the forward pass: layer ${layer}`);
  return [
    bindLinear(site, pipelines.qkv, { x: b.xn, w: own("qkv"), y: b.qkv }, pool),
    {
      pipeline: ropeKv,
      group: ropeKv.bind({
        step: b.step,
        qkv: b.qkv,
        u: b.u,
        bias: qkvBias ? own("qkv_bias") : b.none,
        norms: qkNorm ? own("qk_norm") : b.none,
        rope: b.rope,
        ...pool,
        q: b.q,
      }),
      workgroups: ({ tokens }) => grid(ropeKvWork(tokens, heads, kvHeads, headDim)),
    },
    {
      pipeline: attention.decode,
      group: attention.decode.bind({
        step: b.step,
        q: b.q,
        ...pool,
        partials: b.partials,
        out: b.attention,
      }),
      workgroups: ({ decodeItems }) => attentionDecodeWorkgroups(decodeItems, heads, kvHeads),
    },
    {
      pipeline: attention.prefill,
      group: attention.prefill.bind({ step: b.step, q: b.q, ...pool, out: b.attention }),
      workgroups: ({ prefillTiles }) => attentionPrefillWorkgroups(prefillTiles, heads, kvHeads),
    },
    {
      pipeline: attentionMerge,
      group: attentionMerge.bind({ step: b.step, partials: b.partials, out: b.attention }),
      workgroups: ({ decodeRows }) => attentionMergeWorkgroups(decodeRows, heads),
    },
    bindLinear(site, pipelines.o, { x: b.attention, w: own("o"), y: b.y }, pool),
  ];
}

function mlpDispatches(
  site: ForwardSite,
  own: (part: string) => GPUBuffer,
  pool: Pool,
): (Dispatch | LinearPlace)[] {
  const { config, pipelines, buffers: b } = site;
  const { gateUp, swiglu, down } = pipelines;
  return [
    bindLinear(site, gateUp, { x: b.xn, w: own("gate_up"), y: b.gate_up }, pool),
    {
      pipeline: swiglu,
      group: swiglu.bind({ step: b.step, gate_up: b.gate_up, u: b.u, ...pool, a: b.a }),
      workgroups: ({ tokens }) => grid(swigluWork(tokens, config.intermediateSize)),
    },
    bindLinear(site, down, { x: b.a, w: own("down"), y: b.y }, pool),
  ];
}

/** Adds what a block made to the hidden state, and norms that for the next one. */
function residual(
  { buffers: b }: ForwardSite,
  pipeline: ForwardSite["pipelines"]["afterMlp"],
  gamma: GPUBuffer,
  pool: Pool,
): Dispatch {
  return {
    pipeline,
    group: pipeline.bind({ step: b.step, y: b.y, u: b.u, ...pool, gamma, h: b.h, xn: b.xn }),
    workgroups: ({ tokens }) => residualNormWorkgroups(tokens),
  };
}
