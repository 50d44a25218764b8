import { assertEquals, assertThrows } from "@std/assert";
import { parsePeftConfig, rankAndScale } from "../../models/peft_config.ts";

/** What PEFT 0.21 saves of `LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"])`. */
const SAVED = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: "llama",
  bias: "none",
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 16,
  lora_bias: false,
  lora_dropout: 0.05,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: "megatron.core",
  modules_to_save: null,
  monteclora_config: null,
  peft_type: "LORA",
  peft_version: "0.21.2",
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: ["v_proj", "q_proj"],
  target_parameters: null,
  task_type: "CAUSAL_LM",
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};
const parse = (change: Record<string, unknown>) =>
  parsePeftConfig({ ...SAVED, ...change }, "adapter_config.json");

const REFUSED: readonly (readonly [change: Record<string, unknown>, why: string])[] = [
  [{ peft_type: "IA3" }, "only LORA"],
  [{ peft_type: undefined }, "only LORA"],
  [{ r: 0 }, "r: "],
  [{ r: "8" }, "r: "],
  [{ lora_alpha: undefined }, "lora_alpha: "],
  [{ lora_alpha: 1e300 }, "lora_alpha: "],
  [{ lora_alpha: 1e-60 }, "lora_alpha: "],
  [{ bias: "all" }, "bias: "],
  [{ bias: "lora_only" }, "bias: "],
  [{ fan_in_fan_out: true }, "fan_in_fan_out: "],
  [{ modules_to_save: ["lm_head"] }, "not supported"],
  [{ trainable_token_indices: [3] }, "not supported"],
  [{ ensure_weight_tying: true }, "not supported"],
  [{ layer_replication: [[0, 2]] }, "not supported"],
  [{ target_parameters: ["mlp.experts.down_proj"] }, "not supported"],
  [{ alora_invocation_tokens: [1, 2] }, "not supported"],
  [{ arrow_config: { top_k: 3 } }, "not supported"],
  [{ use_qalora: true }, "not supported"],
  [{ use_bdlora: { nblocks: 2 } }, "not supported"],
  [{ kasa_config: { beta: 1 } }, "not supported"],
  [{ velora_config: { rank: 1 } }, "not supported"],
  [{ monteclora_config: { samples: 1 } }, "not supported"],
  [{ megatron_config: { tp: 2 } }, "not supported"],
  [{ loftq_config: { loftq_bits: 4 } }, "not supported"],
  [{ new_in_peft_9: 0 }, "not supported"],
  [{ init_lora_weights: "pissa" }, "path_initial_model_for_weight_conversion"],
  [{ init_lora_weights: "pissa_niter_16" }, "path_initial_model_for_weight_conversion"],
  [{ init_lora_weights: "OLoRA" }, "path_initial_model_for_weight_conversion"],
  [{ init_lora_weights: "corda" }, "path_initial_model_for_weight_conversion"],
  [{ init_lora_weights: "lora_ga" }, "path_initial_model_for_weight_conversion"],
  [{ init_lora_weights: "loftq" }, "path_initial_model_for_weight_conversion"],
  [{ rank_pattern: { "q_proj(": 4 } }, "not a pattern"],
  [{ alpha_pattern: { "a++": 4 } }, "not a pattern"],
  [{ rank_pattern: { q_proj: 0 } }, "rank_pattern: "],
  [{ target_modules: "(?>q_proj)" }, "not a pattern"],
];
for (const [change, why] of REFUSED) {
  Deno.test(`parsePeftConfig() refuses ${JSON.stringify(change)} by name`, () => {
    const [[key, value] = []] = Object.entries(change);
    for (
      const word of ["adapter_config.json", `${key}: `, why, `received ${JSON.stringify(value)}`]
    ) {
      assertThrows(() => parse(change), TypeError, word);
    }
  });
}

Deno.test("parsePeftConfig() accepts what does not change inference", () => {
  for (
    const change of [
      { new_in_peft_9: null, another: false, third: [], fourth: {}, fifth: "" },
      { init_lora_weights: "Gaussian" },
      { init_lora_weights: "eva", eva_config: { rho: 2, tau: 0.99 } },
      { init_lora_weights: true, corda_config: { use_float16_for_covariance: false } },
      { init_lora_weights: true, lora_ga_config: { direction: "ArB2r" } },
    ]
  ) assertEquals(parse(change).rank, 8);
});

Deno.test("parsePeftConfig() asks for an object", () => {
  for (const json of [null, [], "LORA", 3]) {
    assertThrows(
      () => parsePeftConfig(json, "adapter_config.json"),
      TypeError,
      "expected an object",
    );
  }
});

Deno.test("rankAndScale() takes the first pattern that matches the end of the path, as PEFT does", () => {
  const config = parse({
    rank_pattern: {
      "layers.0.self_attn.q_proj": 24,
      "mlp\\..*_proj": 5,
      "down_proj": 6,
      "proj": 7,
    },
    alpha_pattern: { "^model\\.layers\\.1\\..*": 3, "q_proj": 48 },
  });
  const at = (module: string) => rankAndScale(config, `model.layers.${module}`);
  assertEquals(at("0.self_attn.q_proj"), { rank: 24, scale: 48 / 24 });
  // "layers.0" must not match within "layers.10", nor "proj" within "q_proj".
  assertEquals(at("10.self_attn.q_proj"), { rank: 8, scale: 48 / 8 });
  assertEquals(at("2.mlp.down_proj"), { rank: 5, scale: 16 / 5 });
  assertEquals(at("1.self_attn.q_proj"), { rank: 8, scale: 3 / 8 });
  assertEquals(at("2.self_attn.k_proj"), { rank: 8, scale: 2 });
  const rsLora = parse({
    use_rslora: true,
    alpha_pattern: { q_proj: 32 },
    rank_pattern: { q_proj: 4 },
  });
  assertEquals(rankAndScale(rsLora, "model.layers.0.self_attn.q_proj"), { rank: 4, scale: 16 });
});
