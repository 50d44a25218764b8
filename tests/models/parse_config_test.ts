import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { loadModelConfig, parseModelConfig } from "../../models/parse_config.ts";

/** A config.json as transformers 4 writes it. */
const LLAMA = {
  model_type: "llama",
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 128,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  hidden_act: "silu",
  torch_dtype: "bfloat16",
  bos_token_id: 1,
  eos_token_id: 2,
};
const QWEN = { ...LLAMA, model_type: "qwen2" };
const parse = (json: unknown) => parseModelConfig(json, "config.json");
const LLAMA3 = {
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 128,
};

Deno.test("parseModelConfig() reads the old and the new spelling of rope the same way", () => {
  const old = parse({
    ...LLAMA,
    rope_theta: 5e5,
    rope_scaling: { type: "llama3", ...LLAMA3 },
  });
  const current = parse({
    ...LLAMA,
    rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...LLAMA3 },
  });
  assertEquals(old, current);
  assertEquals(current.rope, {
    theta: 5e5,
    scaling: {
      kind: "llama3",
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 128,
    },
  });
  const linear = parse({ ...LLAMA, rope_scaling: { rope_type: "linear", factor: 2 } });
  assertEquals(linear.rope, { theta: 10000, scaling: { kind: "linear", factor: 2 } });
  assertEquals(parse({ ...LLAMA, rope_scaling: null }).rope, { theta: 10000, scaling: null });
  const both = { rope_scaling: {}, rope_parameters: { rope_type: "linear", factor: 3 } };
  assertEquals(parse({ ...LLAMA, ...both }).rope.scaling, { kind: "linear", factor: 3 });
});

Deno.test("parseModelConfig() takes the original length of a Llama 3 rope from where transformers does", () => {
  const original = (more: Record<string, unknown>, rope: Record<string, unknown>) => {
    const { scaling } =
      parse({ ...LLAMA, ...more, rope_scaling: { ...rope, type: "llama3" } }).rope;
    return scaling?.kind === "llama3" ? scaling.originalMaxPositions : null;
  };
  const { original_max_position_embeddings: _, ...without } = LLAMA3;
  assertEquals(original({ original_max_position_embeddings: 64 }, LLAMA3), 64);
  assertEquals(original({}, LLAMA3), 128);
  assertEquals(original({}, without), LLAMA.max_position_embeddings);
});

Deno.test("parseModelConfig() accepts what published checkpoints say besides", () => {
  const besides = {
    architectures: ["LlamaForCausalLM"],
    _name_or_path: "somewhere",
    transformers_version: "4.46.0",
    pretraining_tp: 1,
    use_cache: true,
    initializer_range: 0.02,
    attention_dropout: 0.1,
    attention_bias: false,
    mlp_bias: null,
    pad_token_id: null,
    unsloth_fixed: true,
    auto_map: {},
    use_mrope: false,
    logit_scale: 1,
    partial_rotary_factor: 1.0,
  };
  assertEquals(parse({ ...LLAMA, ...besides }), parse(LLAMA));
});

Deno.test("parseModelConfig() fills in what transformers fills in", () => {
  const llama = parse({ ...LLAMA, num_key_value_heads: undefined });
  assertEquals([llama.kvHeads, llama.headDim, llama.tiedEmbeddings], [4, 16, false]);
  assertEquals([llama.qkvBias, llama.qkNorm], [false, false]);
  const qwen3 = parse({ ...LLAMA, model_type: "qwen3" });
  assertEquals([qwen3.headDim, qwen3.qkvBias, qwen3.qkNorm], [128, false, true]);
  assertEquals(parse({ ...LLAMA, model_type: "qwen3", head_dim: 32 }).headDim, 32);
  assertEquals(parse(QWEN).qkvBias, true);
});

Deno.test("parseModelConfig() gives each layer the window that transformers gives it", () => {
  const windows = (json: unknown) => parse(json).slidingWindow;
  const all = (window: number | null) => [window, window, window];
  const mistral = { ...LLAMA, model_type: "mistral" };
  const types = ["sliding_attention", "full_attention", "sliding_attention"];
  assertEquals(windows({ ...LLAMA, sliding_window: 24 }), all(null));
  assertEquals(windows({ ...mistral, sliding_window: 24 }), all(24));
  assertEquals(windows({ ...mistral, sliding_window: null }), all(null));
  assertEquals(windows(mistral), all(4096));
  assertEquals(windows({ ...QWEN, sliding_window: 24 }), all(null));
  assertEquals(windows({ ...QWEN, sliding_window: 24, use_sliding_window: true }), all(null));
  assertEquals(
    windows({ ...QWEN, sliding_window: 24, use_sliding_window: true, max_window_layers: 1 }),
    [null, 24, 24],
  );
  assertEquals(
    windows({ ...QWEN, sliding_window: 24, use_sliding_window: true, layer_types: types }),
    [24, null, 24],
  );
  assertEquals(windows({ ...QWEN, sliding_window: 24, layer_types: types }), all(null));
});

const REFUSED: readonly (readonly [change: Record<string, unknown>, ...words: string[]])[] = [
  [{ model_type: "gemma2" }, "model_type", '"llama"', 'received "gemma2"'],
  [{ hidden_size: undefined }, "hidden_size", "received undefined"],
  [{ hidden_size: 60 }, "hidden_size", "multiple of 8", "received 60"],
  [{ intermediate_size: 100 }, "intermediate_size", "multiple of 8", "received 100"],
  [{ head_dim: 24 }, "head_dim", "multiple of 16", "received 24"],
  [{ num_attention_heads: 3 }, "head_dim", "received 21.3"],
  [{ num_key_value_heads: 3 }, "num_attention_heads", "multiple of 3", "received 4"],
  [{ hidden_act: "gelu" }, "hidden_act", '"silu"', 'received "gelu"'],
  [{ attention_bias: true }, "attention_bias", "false", "received true"],
  [{ mlp_bias: true }, "mlp_bias", "false", "received true"],
  [{ quantization_config: { bits: 4 } }, "quantization_config", '{"bits":4}'],
  [{ partial_rotary_factor: 0.5 }, "partial_rotary_factor", "1", "received 0.5"],
  [{ logit_scale: 0.0625 }, "logit_scale", "1", "received 0.0625"],
  [{ embedding_multiplier: 12 }, "embedding_multiplier", "received 12"],
  [{ final_logit_softcapping: 30 }, "final_logit_softcapping", "null", "received 30"],
  [{ use_mrope: true }, "use_mrope", "false", "received true"],
  [{ is_causal: false }, "is_causal", "true", "received false"],
  [
    { rope_scaling: { type: "llama3", ...LLAMA3, high_freq_factor: 1 } },
    "high_freq_factor must be above low_freq_factor, 1, received 1",
  ],
  [{ rope_scaling: { type: "llama3", factor: 8 } }, "llama3 needs low_freq_factor"],
  [{ rope_scaling: { type: "default", mrope_section: [16, 24, 24] } }, "rope_scaling", "mrope"],
  [{ rope_scaling: { type: "yarn", factor: 4 } }, "rope_scaling.type", "llama3", '"yarn"'],
  [{ rope_scaling: { rope_type: "linear" } }, "linear", "factor", "received undefined"],
  [{ rope_parameters: { full_attention: { rope_theta: 1 } } }, "rope_param", "full_attention"],
  [{ rope_parameters: { rope_type: "default", partial_rotary_factor: 0.5 } }, "partial_rotary"],
  [{ layer_types: ["full_attention"] }, "layer_types", "3 layers", "received 1"],
  [{ layer_types: ["chunked_attention"] }, "layer_types.0", '"chunked_attention"'],
];
for (const [change, ...words] of REFUSED) {
  Deno.test(`parseModelConfig() refuses ${JSON.stringify(change)} and says what is supported`, () => {
    for (const word of ["Cannot load model: config.json", ...words]) {
      assertThrows(() => parse({ ...LLAMA, ...change }), TypeError, word);
    }
  });
}

Deno.test("loadModelConfig() joins the end tokens of both files", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const write = (name: string, text: string) => Deno.writeTextFile(`${directory}/${name}`, text);
    await assertRejects(() => loadModelConfig(directory), TypeError, "config.json");
    await write("config.json", JSON.stringify(LLAMA));
    assertEquals((await loadModelConfig(directory)).eosTokenIds, [2]);
    await write("generation_config.json", JSON.stringify({ eos_token_id: [7, 2] }));
    assertEquals((await loadModelConfig(directory)).eosTokenIds, [2, 7]);
    await write("generation_config.json", JSON.stringify({ eos_token_id: "</s>" }));
    await assertRejects(() => loadModelConfig(directory), TypeError, "generation_config.json");
    await write("config.json", "{");
    await assertRejects(() => loadModelConfig(directory), SyntaxError, "config.json is not JSON");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
