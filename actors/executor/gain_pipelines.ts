import type { Compiler, Pipeline } from "../../kernels/compiler.ts";
import { doraGain, doraGainWork } from "../../kernels/dora_gain/dora_gain.ts";
import { doraGainEmbed, doraGainEmbedWork } from "../../kernels/dora_gain_embed/dora_gain_embed.ts";
import { grid } from "../../kernels/grid.ts";
import type { AdapterShape } from "../../models/adapter_image.ts";
import {
  HEAD_MODULES,
  type HeadModule,
  LAYER_MODULES,
  type LayerModule,
  type ModelConfig,
  moduleShape,
} from "../../models/model_config.ts";
import { type PipelineShape, projectionDtype } from "./pipelines.ts";
import type { Slice } from "./upload_queue.ts";

/** Rows of each module within its fused weight, and that weight's name. */
const FUSED: Readonly<Record<LayerModule, "qkv" | "o" | "gate_up" | "down">> = {
  q: "qkv",
  k: "qkv",
  v: "qkv",
  o: "o",
  gate: "gate_up",
  up: "gate_up",
  down: "down",
};

/** DoRA's gain pipeline of one module. */
export interface GainPipeline {
  readonly name: LayerModule | HeadModule;
  readonly part: Slice["part"];
  /** Its number in the header of an image of that part. */
  readonly module: number;
  readonly workgroups: readonly [number, number];
  readonly pipeline: Pipeline<keyof typeof doraGain.bindings>;
  /** What the module of copy `copy` adapts. */
  weight(weights: ReadonlyMap<string, GPUBuffer>, copy: number): GPUBuffer | undefined;
}

/** Compiles one that an image with DoRA needs and `compiled` lacks; null where it needs no more. */
export async function compileGain(
  compiler: Compiler,
  config: ModelConfig,
  shape: PipelineShape,
  { moduleRanks, headRanks }: Pick<AdapterShape, "moduleRanks" | "headRanks">,
  compiled: readonly GainPipeline[],
): Promise<GainPipeline | null> {
  const lacks = (name: string) => !compiled.some((gain) => gain.name === name);
  const layer = LAYER_MODULES.findIndex((name, i) => moduleRanks[i] && lacks(name));
  const inLayer = LAYER_MODULES[layer];
  if (inLayer) return await layerGain(compiler, config, shape, inLayer, layer);
  const head = HEAD_MODULES.find((name, i) => headRanks[i] && lacks(name));
  if (head === "embed") return await embedGain(compiler, config, shape);
  return head ? await lmHeadGain(compiler, config, shape) : null;
}

async function layerGain(
  compiler: Compiler,
  config: ModelConfig,
  shape: PipelineShape,
  name: LayerModule,
  module: number,
): Promise<GainPipeline> {
  const fused = FUSED[name];
  const [out, IN] = moduleShape(config, name);
  const rows = (names: readonly LayerModule[]) =>
    names.reduce(
      (sum, other) => FUSED[other] === fused ? sum + moduleShape(config, other)[0] : sum,
      0,
    );
  const pipeline = await compiler.compile(doraGain, {
    IN,
    OUT: out,
    ROW0: rows(LAYER_MODULES.slice(0, module)),
    FUSED: rows(LAYER_MODULES),
    MODULE: module,
    DTYPE: projectionDtype(shape),
    WORKGROUP: 128,
    ...shape.layerPages,
  });
  const weight: GainPipeline["weight"] = (weights, copy) => weights.get(`layers.${copy}.${fused}`);
  return { name, part: "layers", module, workgroups: grid(doraGainWork(out)), pipeline, weight };
}

async function lmHeadGain(
  compiler: Compiler,
  { vocabSize, hiddenSize }: ModelConfig,
  shape: PipelineShape,
): Promise<GainPipeline> {
  const pipeline = await compiler.compile(doraGain, {
    IN: hiddenSize,
    OUT: vocabSize,
    ROW0: 0,
    FUSED: vocabSize,
    MODULE: HEAD_MODULES.indexOf("lm_head"),
    DTYPE: projectionDtype(shape),
    WORKGROUP: 128,
    ...shape.headPages,
  });
  return {
    name: "lm_head",
    part: "head",
    module: HEAD_MODULES.indexOf("lm_head"),
    workgroups: grid(doraGainWork(vocabSize)),
    pipeline,
    weight: (weights) => weights.get("lm_head") ?? weights.get("embed"),
  };
}

async function embedGain(
  compiler: Compiler,
  { vocabSize, hiddenSize }: ModelConfig,
  shape: PipelineShape,
): Promise<GainPipeline> {
  const pipeline = await compiler.compile(doraGainEmbed, {
    HIDDEN: hiddenSize,
    VOCAB: vocabSize,
    BF16: Number(shape.bf16),
    WORKGROUP: 256,
    ...shape.headPages,
  });
  return {
    name: "embed",
    part: "head",
    module: HEAD_MODULES.indexOf("embed"),
    workgroups: grid(doraGainEmbedWork(hiddenSize)),
    pipeline,
    weight: (weights) => weights.get("embed"),
  };
}
