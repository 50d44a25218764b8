import { attentionDecode } from "../../kernels/attention_decode/attention_decode.ts";
import { attentionMerge } from "../../kernels/attention_merge/attention_merge.ts";
import type { Compiler } from "../../kernels/compiler.ts";
import { embed } from "../../kernels/embed/embed.ts";
import { WEIGHT_DTYPES } from "../../kernels/linear.ts";
import { logitsAdapter } from "../../kernels/logits_adapter/logits_adapter.ts";
import { logprobs } from "../../kernels/logprobs/logprobs.ts";
import { penalize } from "../../kernels/penalize/penalize.ts";
import { residualNorm } from "../../kernels/residual_norm/residual_norm.ts";
import { ropeKv } from "../../kernels/rope_kv/rope_kv.ts";
import { sample } from "../../kernels/sample/sample.ts";
import { swiglu } from "../../kernels/swiglu/swiglu.ts";
import { LAYER_MODULES, type LayerModule, type ModelConfig } from "../../models/model_config.ts";
import { linearVariants, variantsInUse } from "./linear_variants.ts";
import { prefillVariant } from "./prefill_variant.ts";
import type { StepBounds } from "./step_bounds.ts";

/** What compilation must know besides the model. */
export interface PipelineShape {
  /** What is in 16 bits is bf16 rather than f16. */
  readonly bf16: boolean;
  /** Projections are int8. */
  readonly int8: boolean;
  readonly layerPages: { readonly PAGE_VECS: number; readonly SLAB_PAGES: number };
  readonly headPages: { readonly PAGE_VECS: number; readonly SLAB_PAGES: number };
  readonly pagesPerBlock: number;
}

export type Pipelines = Awaited<ReturnType<typeof compilePipelines>>;

/** Invocations for a row of `numbers`, `each` at a time: a power of two, as the reductions need. */
function lanesFor(numbers: number, each: number, most: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(numbers / each));
  return Math.min(Math.max(32, wanted), 2 ** Math.floor(Math.log2(most)));
}

/** Compiles every pipeline that steps within these bounds may need; `onCompiled` is called after each. */
export async function compilePipelines(
  compiler: Compiler,
  config: ModelConfig,
  shape: PipelineShape,
  { maxTokens, maxLogitRows }: Pick<StepBounds, "maxTokens" | "maxLogitRows">,
  onCompiled: () => void,
) {
  const { heads, kvHeads, headDim, hiddenSize, intermediateSize, vocabSize } = config;
  const BF16 = Number(shape.bf16);
  const DTYPE = projectionDtype(shape);
  const EPS = config.rmsNormEps;
  const done = async <T>(pipeline: Promise<T>): Promise<T> => {
    const compiled = await pipeline;
    onCompiled();
    return compiled;
  };
  const linear = async (
    IN: number,
    OUT: number,
    MODULES: number,
    module: LayerModule | null,
  ) => {
    const first = module === null ? 1 : LAYER_MODULES.indexOf(module);
    const constants = {
      IN,
      OUT,
      DTYPE,
      MODULES,
      FIRST_MODULE: first,
      HEAD_POOL: Number(module === null),
      ...(module === null ? shape.headPages : shape.layerPages),
    };
    const able = linearVariants(compiler, IN);
    const inUse = module === null
      // What reads the logits adds up no planes.
      ? variantsInUse(able.filter(({ planes }) => planes === 1), maxLogitRows, OUT)
      : variantsInUse(able, maxTokens, OUT);
    const variants = await Promise.all(inUse.map(async ({ kernel, header, ...sizes }) => (
      { ...sizes, pipeline: await compiler.compile(kernel, constants, header) }
    )));
    onCompiled();
    const modules = [first, first + MODULES] as const;
    return { out: OUT, modules, head: module === null, variants };
  };
  const prefill = prefillVariant(compiler, headDim);
  const attention = async (window: number | null) => {
    const constants = {
      HEADS: heads,
      KV_HEADS: kvHeads,
      WINDOW: window ?? 0,
      PAGES_PER_BLOCK: shape.pagesPerBlock,
      ...shape.layerPages,
    };
    const [decode, chunk] = await Promise.all([
      done(compiler.compile(attentionDecode, { ...constants, HEAD_DIM: headDim })),
      done(compiler.compile(prefill.kernel, constants, prefill.header)),
    ]);
    return [window, { decode, prefill: chunk }] as const;
  };
  const norm = { HIDDEN: hiddenSize, EPS, WORKGROUP: lanesFor(hiddenSize, 8, compiler.lanes) };
  const vocabulary = { VOCAB: vocabSize, WORKGROUP: lanesFor(vocabSize, 16, compiler.lanes) };
  const windows = [...new Set(config.slidingWindow)];
  return await allOf({
    embed: done(compiler.compile(embed, { ...norm, BF16, ...shape.headPages })),
    qkv: linear(hiddenSize, (heads + 2 * kvHeads) * headDim, 3, "q"),
    ropeKv: done(compiler.compile(ropeKv, {
      HEADS: heads,
      KV_HEADS: kvHeads,
      HEAD_DIM: headDim,
      QKV_BIAS: Number(config.qkvBias),
      QK_NORM: Number(config.qkNorm),
      EPS,
      PAGES_PER_BLOCK: shape.pagesPerBlock,
      ...shape.layerPages,
    })),
    attention: Promise.all(windows.map(attention)).then((each) => new Map(each)),
    attentionMerge: done(
      compiler.compile(attentionMerge, { HEADS: heads, HEAD_DIM: headDim }),
    ),
    o: linear(heads * headDim, hiddenSize, 1, "o"),
    afterAttention: done(
      compiler.compile(residualNorm, {
        ...norm,
        MODULE: LAYER_MODULES.indexOf("o"),
        ...shape.layerPages,
      }),
    ),
    gateUp: linear(hiddenSize, 2 * intermediateSize, 2, "gate"),
    swiglu: done(
      compiler.compile(swiglu, { INTERMEDIATE: intermediateSize, ...shape.layerPages }),
    ),
    down: linear(intermediateSize, hiddenSize, 1, "down"),
    afterMlp: done(
      compiler.compile(residualNorm, {
        ...norm,
        MODULE: LAYER_MODULES.indexOf("down"),
        ...shape.layerPages,
      }),
    ),
    lmHead: linear(hiddenSize, vocabSize, 1, null),
    logitsAdapter: done(
      compiler.compile(logitsAdapter, { VOCAB: vocabSize, ...shape.headPages }),
    ),
    penalize: done(compiler.compile(penalize, { VOCAB: vocabSize })),
    sample: done(compiler.compile(sample, vocabulary)),
    logprobs: done(compiler.compile(logprobs, vocabulary)),
  });
}

/** What all of these promises come to, by their names. */
async function allOf<T extends Record<string, unknown>>(
  promises: T,
): Promise<{ [K in keyof T]: Awaited<T[K]> }> {
  const all = Object.entries(promises).map(async ([name, each]) => [name, await each] as const);
  return Object.fromEntries(await Promise.all(all)) as { [K in keyof T]: Awaited<T[K]> };
}

/** The element type of projections as kernels number it. */
export const projectionDtype = ({ bf16, int8 }: PipelineShape): number =>
  WEIGHT_DTYPES[int8 ? "int8" : bf16 ? "bf16" : "f16"];
