import { z } from "zod";
import type { ModelConfig } from "./model_config.ts";
import { parseRope, RopeParameters } from "./parse_rope.ts";
import { readJson } from "./read_json.ts";

const positive = z.number().int().positive();
const tokenIds = z.union([z.number().int(), z.array(z.number().int())]).nullish();

/**
 * Keys of other models and programs that change the numbers, in the only value that does not. The four
 * architectures of transformers do not read them, so a checkpoint that sets one is meant for something else.
 */
const NEUTRAL = {
  partial_rotary_factor: z.literal(1).nullish(),
  logit_scale: z.literal(1).nullish(),
  logits_scaling: z.literal(1).nullish(),
  embedding_multiplier: z.literal(1).nullish(),
  residual_multiplier: z.literal(1).nullish(),
  attention_multiplier: z.null().optional(),
  query_pre_attn_scalar: z.null().optional(),
  attn_logit_softcapping: z.null().optional(),
  final_logit_softcapping: z.null().optional(),
  use_mrope: z.literal(false).nullish(),
  is_causal: z.literal(true).nullish(),
};

const HfConfig = z.object({
  model_type: z.enum(["llama", "mistral", "qwen2", "qwen3"]),
  hidden_size: positive,
  intermediate_size: positive,
  num_hidden_layers: positive,
  num_attention_heads: positive,
  num_key_value_heads: positive.nullish(),
  head_dim: positive.nullish(),
  vocab_size: positive,
  max_position_embeddings: positive,
  rms_norm_eps: z.number().positive(),
  hidden_act: z.literal("silu"),
  tie_word_embeddings: z.boolean().default(false),
  attention_bias: z.literal(false).nullish(),
  mlp_bias: z.literal(false).nullish(),
  quantization_config: z.null().optional(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: RopeParameters.nullish(),
  rope_parameters: RopeParameters.nullish(),
  original_max_position_embeddings: positive.nullish(),
  ...NEUTRAL,
  sliding_window: positive.nullish(),
  use_sliding_window: z.boolean().nullish(),
  max_window_layers: z.number().int().nonnegative().nullish(),
  layer_types: z.array(z.enum(["full_attention", "sliding_attention"])).nullish(),
  eos_token_id: tokenIds,
});
type HfConfig = z.infer<typeof HfConfig>;

/**
 * A Hugging Face config.json, old (`rope_scaling`) or new (`rope_parameters`) style.
 * @throws {TypeError} naming the key, its value and what is supported.
 */
export function parseModelConfig(json: unknown, source: string): ModelConfig {
  const parsed = HfConfig.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const key = issue?.path.join(".") ?? "";
    const value = (issue?.path ?? []).reduce<unknown>(
      (node, part) => (node as Record<PropertyKey, unknown> | undefined)?.[part],
      json,
    );
    throw new TypeError(
      `Cannot load model: ${source}: ${key}: ${issue?.message}, received ${JSON.stringify(value)}`,
    );
  }
  const c = parsed.data;
  const headDim = c.head_dim ??
    (c.model_type === "qwen3" ? 128 : c.hidden_size / c.num_attention_heads);
  const kvHeads = c.num_key_value_heads ?? c.num_attention_heads;
  const fits = (key: string, value: number, divisor: number) => {
    if (value % divisor === 0) return;
    throw new TypeError(
      `Cannot load model: ${source}: ${key} must be a multiple of ${divisor}, received ${value}`,
    );
  };
  fits("hidden_size", c.hidden_size, 8);
  fits("intermediate_size", c.intermediate_size, 8);
  fits("head_dim", headDim, 16);
  fits("num_attention_heads", c.num_attention_heads, kvHeads);
  if (c.layer_types && c.layer_types.length !== c.num_hidden_layers) {
    throw new TypeError(
      `Cannot load model: ${source}: layer_types must name ${c.num_hidden_layers} layers, ` +
        `received ${c.layer_types.length}`,
    );
  }
  return {
    hiddenSize: c.hidden_size,
    intermediateSize: c.intermediate_size,
    layers: c.num_hidden_layers,
    heads: c.num_attention_heads,
    kvHeads,
    headDim,
    vocabSize: c.vocab_size,
    maxPositions: c.max_position_embeddings,
    rmsNormEps: c.rms_norm_eps,
    rope: parseRope(filled(c.rope_scaling) ?? c.rope_parameters ?? {}, c, source),
    tiedEmbeddings: c.tie_word_embeddings,
    qkvBias: c.model_type === "qwen2",
    qkNorm: c.model_type === "qwen3",
    slidingWindow: Array.from({ length: c.num_hidden_layers }, (_, layer) => windowOf(c, layer)),
    eosTokenIds: [c.eos_token_id ?? []].flat(),
  };
}

/**
 * Reads config.json, and generation_config.json's end tokens where it has them.
 * @throws {TypeError} naming the file, the key, its value and what is supported.
 */
export async function loadModelConfig(directory: string): Promise<ModelConfig> {
  const file = `${directory}/config.json`;
  const json = await readJson(file, "load model");
  if (json === undefined) {
    throw new TypeError(
      `Cannot load model: a Hugging Face directory has config.json, received ${file}`,
    );
  }
  const config = parseModelConfig(json, file);
  const generation = `${directory}/generation_config.json`;
  const parsed = z.object({ eos_token_id: tokenIds }).safeParse(
    (await readJson(generation, "load model")) ?? {},
  );
  if (!parsed.success) {
    throw new TypeError(`Cannot load model: ${generation}: ${z.prettifyError(parsed.error)}`);
  }
  const eosTokenIds = [...config.eosTokenIds, ...[parsed.data.eos_token_id ?? []].flat()];
  return { ...config, eosTokenIds: [...new Set(eosTokenIds)] };
}

/** Nothing where there are no parameters in it, as transformers takes an empty rope_scaling. */
const filled = <T extends object>(parameters: T | null | undefined): T | undefined =>
  parameters && Object.keys(parameters).length > 0 ? parameters : undefined;

/** The sliding window of a layer; what config.json leaves out has transformers' defaults. */
function windowOf(c: HfConfig, layer: number): number | null {
  const window = c.sliding_window === undefined ? 4096 : c.sliding_window;
  if (c.model_type === "llama" || window === null) return null;
  if (c.model_type !== "mistral" && !c.use_sliding_window) return null;
  if (c.layer_types) return c.layer_types[layer] === "sliding_attention" ? window : null;
  return c.model_type === "mistral" || layer >= (c.max_window_layers ?? 28) ? window : null;
}
