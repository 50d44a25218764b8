import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { z } from "zod";
import { pageGeometry } from "../../models/adapter_image.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { readAdapterFiles } from "../../models/adapter_files.ts";
import { parsePeftAdapter } from "../../models/peft_adapter.ts";
import { openAdapter } from "../support/open_adapter.ts";
import { ARCHITECTURES, goldenDirectory, goldens } from "../support/goldens.ts";
import { ODD_MODEL } from "../support/read_image.ts";
import { inDirectory, type TensorData, writeSafetensors } from "../support/write_safetensors.ts";

/** What other servers were reported to take silently, or not to name. */
const REPORTS: Record<string, string> = {
  modules_to_save: " (vLLM #9280, #32599)",
  trainable_tokens: " (vLLM #36501)",
};

for (const architecture of ARCHITECTURES) {
  Deno.test(`parsePeftAdapter() takes every adapter that PEFT saved for ${architecture}`, async () => {
    const { directory, cases } = goldens(architecture);
    const config = await loadModelConfig(directory);
    using base = Checkpoint.open(directory);
    for (const { adapter } of Object.values(cases)) {
      if (adapter === null) continue;
      using files = openAdapter(`${directory}/${adapter}`, config, base);
      const image = packAdapter(files, config, pageGeometry(config.kvHeads, config.headDim));
      assert(image.maxRank > 0);
    }
  });
}

const Bad = z.object({
  model: z.string(),
  cases: z.record(
    z.string(),
    z.object({ file: z.string(), key: z.string().nullable(), word: z.string() }),
  ),
});
const bad = Bad.parse(JSON.parse(Deno.readTextFileSync(`${goldenDirectory("bad")}/expected.json`)));

for (const [name, { file, key, word }] of Object.entries(bad.cases)) {
  Deno.test(`parsePeftAdapter() refuses ${name}${REPORTS[name] ?? ""}, naming file, key and reason`, async () => {
    const directory = goldenDirectory(bad.model);
    const config = await loadModelConfig(directory);
    using base = Checkpoint.open(directory);
    const { message } = await assertRejects(async () => {
      const files = await readAdapterFiles(`${goldenDirectory("bad")}/${name}`, Infinity);
      using adapter = parsePeftAdapter(files, config, base);
      packAdapter(adapter, config, pageGeometry(config.kvHeads, config.headDim));
    }, Error);
    for (const part of ["Cannot", file, key ?? "", word]) assertStringIncludes(message, part);
  });
}

Deno.test("readAdapterFiles() asks for the config of a directory that has none", async () => {
  const directory = goldenDirectory("llama");
  await assertRejects(
    () => readAdapterFiles(directory, Infinity),
    TypeError,
    "adapter_config.json",
  );
});

type Tensors = Record<string, TensorData>;
const zeros = (...shape: number[]): TensorData => ({
  dtype: "F16",
  shape,
  values: new Float32Array(shape.reduce((a, b) => a * b, 1)),
});
const key = (part: string) => `base_model.model.${part}`;
const linear = (path: string, rank: number, out: number, input: number): Tensors => ({
  [key(`${path}.lora_A.weight`)]: zeros(rank, input),
  [key(`${path}.lora_B.weight`)]: zeros(out, rank),
});
const Q0 = "model.layers.0.self_attn.q_proj";
const Q1 = "model.layers.1.self_attn.q_proj";
const embedding = (rank: number): Tensors => ({
  [key("model.embed_tokens.lora_embedding_A")]: zeros(rank, ODD_MODEL.vocabSize),
  [key("model.embed_tokens.lora_embedding_B")]: zeros(ODD_MODEL.hiddenSize, rank),
});

/** Opens an adapter of these tensors for ODD_MODEL, whose embedding is all zeros. */
function open(tensors: Tensors, change: Record<string, unknown> = {}) {
  return inDirectory((directory) => {
    const config = {
      peft_type: "LORA",
      r: 4,
      lora_alpha: 8,
      target_modules: ["q_proj"],
      ...change,
    };
    Deno.writeTextFileSync(`${directory}/adapter_config.json`, JSON.stringify(config));
    writeSafetensors(`${directory}/adapter_model.safetensors`, tensors);
    const { vocabSize, hiddenSize } = ODD_MODEL;
    writeSafetensors(`${directory}/model.safetensors`, {
      "model.embed_tokens.weight": zeros(vocabSize, hiddenSize),
    });
    using base = Checkpoint.open(directory);
    using files = openAdapter(directory, ODD_MODEL, base);
    return { layers: files.layers, head: files.head };
  });
}
const both = { ...linear(Q0, 4, 48, 40), ...linear(Q1, 4, 48, 40) };

Deno.test("parsePeftAdapter() refuses tensors that target_modules does not name, which PEFT would drop (vLLM #34186, vLLM #34591, vLLM #41754, vLLM #55193)", () => {
  const extra = { ...both, ...linear("model.layers.1.mlp.down_proj", 4, 40, 56) };
  assertThrows(
    () => open(extra),
    TypeError,
    "does not name, received base_model.model.model.layers.1.mlp",
  );
  const { layers } = open(extra, { target_modules: null });
  assertEquals(layers.map((modules) => modules.map(({ module }) => module)), [["q"], [
    "q",
    "down",
  ]]);
});

Deno.test("parsePeftAdapter() refuses an adapter that lacks a module which target_modules names", () => {
  const half = linear(Q1, 4, 48, 40);
  assertThrows(() => open(half), TypeError, `is missing, received ${key(Q0)}`);
  assertEquals(open(half, { layers_to_transform: [1] }).layers.map(({ length }) => length), [0, 1]);
});

Deno.test("parsePeftAdapter() takes embeddings of a tied model for the lookup alone, as PEFT does", () => {
  const targets = { target_modules: ["embed_tokens"] };
  const copy = key("model.embed_tokens.base_layer.weight");
  const { head } = open({ ...embedding(4), [copy]: zeros(24, 40) }, targets);
  assertEquals(head.map(({ module, rank, scale }) => [module, rank, scale]), [["embed", 4, 2]]);
  assertThrows(
    () => open({ ...embedding(4), [copy]: zeros(32, 40) }, targets),
    TypeError,
    "differs from the base",
  );
  const linearKeys = linear("model.embed_tokens", 4, 40, 24);
  assertThrows(() => open(linearKeys, targets), TypeError, "an unknown tensor for this module");
});

Deno.test("parsePeftAdapter() refuses parts that the config does not know of, and wrong ranks and types", () => {
  const refused = (tensors: Tensors, word: string, change = {}) =>
    assertThrows(() => open({ ...both, ...tensors }, change), TypeError, word);
  refused({ [key(`${Q0}.lora_magnitude_vector`)]: zeros(48) }, "a magnitude needs use_dora");
  refused({ [key(`${Q0}.lora_B.bias`)]: zeros(48) }, "a bias needs lora_bias");
  refused({}, `${Q0}.lora_B.bias is missing`, { lora_bias: true });
  refused({ [key(`${Q0}.lora_embedding_A`)]: zeros(4, 40) }, "an unknown tensor for this module");
  refused(
    { [key("model.layers.0.self_attn.rotary_emb.lora_A.weight")]: zeros(4, 40) },
    "an unknown module",
  );
  refused(
    { [key("model.layers.00.self_attn.q_proj.lora_A.weight")]: zeros(4, 40) },
    "an unknown module",
  );
  refused({ "model.layers.0.self_attn.q_proj.lora_A.weight": zeros(4, 40) }, "keys begin with");
  refused(linear(Q0, 0, 48, 40), "must have the rank that adapter_config.json says, 4, received 0");
  refused(linear(Q0, 300, 48, 40), "a rank of at most 256, received 300", {
    rank_pattern: { "0.self_attn.q_proj": 300 },
  });
});

Deno.test("parsePeftAdapter() takes DoRA on embed_tokens, a magnitude a column, and on lm_head, a magnitude a token", () => {
  const { vocabSize, hiddenSize } = ODD_MODEL;
  const change = { use_dora: true, target_modules: ["embed_tokens", "lm_head"] };
  const tensors = (columns: number, tokens: number): Tensors => ({
    ...embedding(4),
    ...linear("lm_head", 4, vocabSize, hiddenSize),
    [key("model.embed_tokens.lora_magnitude_vector")]: zeros(columns),
    [key("lm_head.lora_magnitude_vector")]: zeros(tokens),
  });
  const { head } = open(tensors(hiddenSize, vocabSize), change);
  assertEquals(head.map(({ module, rank }) => [module, rank]), [["embed", 4], ["lm_head", 4]]);
  for (const name of ["model.embed_tokens", "lm_head"]) {
    const magnitude = `${name}.lora_magnitude_vector`;
    const wrong = name === "lm_head"
      ? tensors(hiddenSize, hiddenSize)
      : tensors(vocabSize, vocabSize);
    assertThrows(() => open(wrong, change), TypeError, `${magnitude} must have shape`);
    const { [key(magnitude)]: _, ...without } = tensors(hiddenSize, vocabSize);
    assertThrows(() => open(without, change), TypeError, `${magnitude} is missing`);
  }
});

Deno.test("parsePeftAdapter() refuses a directory without tensors or without a config it can read", () =>
  inDirectory((directory) => {
    assertThrows(() => open({}), TypeError, "it has no LoRA tensors");
    const config = `${directory}/adapter_config.json`;
    Deno.writeTextFileSync(config, "{");
    writeSafetensors(`${directory}/adapter_model.safetensors`, both);
    using base = Checkpoint.open(goldenDirectory("llama"));
    assertThrows(
      () => openAdapter(directory, ODD_MODEL, base),
      SyntaxError,
      `${config} is not JSON`,
    );
  }));
