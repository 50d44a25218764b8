import { type LayerModule, type ModelConfig, moduleShape } from "./model_config.ts";

/** One GPU buffer and the checkpoint tensors that fill it, one after another. */
export interface WeightBuffer {
  readonly name: string;
  /** Matrices stay in 16 bits or become int8, a scale a row; vectors (norms, biases) are widened to f32. */
  readonly kind: "matrix" | "int8" | "vector";
  readonly parts: readonly { readonly tensor: string; readonly shape: readonly number[] }[];
}

/**
 * Every weight buffer of a model, in the order in which a checkpoint usually stores them. Of its matrices all that
 * are multiplied with are `projections`; the table of embeddings, which is looked up, stays in 16 bits.
 */
export function weightPlan(
  config: ModelConfig,
  projections: "matrix" | "int8" = "matrix",
): WeightBuffer[] {
  const { hiddenSize, vocabSize, headDim } = config;
  const vector = (name: string, tensors: readonly string[], size: number): WeightBuffer => ({
    name,
    kind: "vector",
    parts: tensors.map((tensor) => ({ tensor, shape: [size] })),
  });
  const matrix = (name: string, parts: WeightBuffer["parts"]): WeightBuffer => ({
    name,
    kind: projections,
    parts,
  });
  const table = [vocabSize, hiddenSize];
  const embeddings = [{ tensor: "model.embed_tokens.weight", shape: table }];
  const plan: WeightBuffer[] = [{ name: "embed", kind: "matrix", parts: embeddings }];
  for (let i = 0; i < config.layers; i++) {
    const tensor = (part: string) => `model.layers.${i}.${part}`;
    const fused = (name: string, block: string, modules: readonly LayerModule[]) =>
      matrix(
        `layers.${i}.${name}`,
        modules.map((module) => ({
          tensor: tensor(`${block}.${module}_proj.weight`),
          shape: moduleShape(config, module),
        })),
      );
    plan.push(
      vector(`layers.${i}.input_norm`, [tensor("input_layernorm.weight")], hiddenSize),
      fused("qkv", "self_attn", ["q", "k", "v"]),
      fused("o", "self_attn", ["o"]),
      vector(`layers.${i}.post_norm`, [tensor("post_attention_layernorm.weight")], hiddenSize),
      fused("gate_up", "mlp", ["gate", "up"]),
      fused("down", "mlp", ["down"]),
    );
    if (config.qkvBias) {
      plan.push({
        name: `layers.${i}.qkv_bias`,
        kind: "vector",
        parts: (["q", "k", "v"] as const).map((module) => ({
          tensor: tensor(`self_attn.${module}_proj.bias`),
          shape: [moduleShape(config, module)[0]],
        })),
      });
    }
    if (config.qkNorm) {
      const norms = [tensor("self_attn.q_norm.weight"), tensor("self_attn.k_norm.weight")];
      plan.push(vector(`layers.${i}.qk_norm`, norms, headDim));
    }
  }
  plan.push(vector("final_norm", ["model.norm.weight"], hiddenSize));
  if (!config.tiedEmbeddings) {
    plan.push(matrix("lm_head", [{ tensor: "lm_head.weight", shape: table }]));
  } else if (projections === "int8") plan.push(matrix("lm_head", embeddings));
  return plan;
}
