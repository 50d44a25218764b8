import { assertEquals } from "@std/assert";
import { compileGain, type GainPipeline } from "../../../actors/executor/gain_pipelines.ts";
import type { PipelineShape } from "../../../actors/executor/pipelines.ts";
import { Checkpoint } from "../../../models/checkpoint.ts";
import { HEAD_MODULES, LAYER_MODULES } from "../../../models/model_config.ts";
import { loadModelConfig } from "../../../models/parse_config.ts";
import { readFloats } from "../../../models/tensor_values.ts";
import { assertClose } from "../../support/close.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { goldenDirectory } from "../../support/goldens.ts";
import { testCompiler } from "../../support/gpu.ts";
import { type TensorData, writeSafetensors } from "../../support/write_safetensors.ts";

const ranks = (names: readonly string[], adapted: readonly string[]) =>
  names.map((name) => adapted.includes(name) ? 4 : 0);

Deno.test("compileGain() compiles what an adapter's own modules need, each once", async () => {
  const config = await loadModelConfig(goldenDirectory("llama"));
  const pages = { PAGE_VECS: 256, SLAB_PAGES: 64 };
  const shape: PipelineShape = {
    bf16: false,
    int8: false,
    layerPages: pages,
    headPages: pages,
    pagesPerBlock: 1,
  };
  const compiled: GainPipeline[] = [];
  /** Names of the pipelines that an adapter of these modules adds. */
  const added = async (...adapted: string[]) => {
    const before = compiled.length;
    const image = {
      moduleRanks: ranks(LAYER_MODULES, adapted),
      headRanks: ranks(HEAD_MODULES, adapted),
    };
    for (;;) {
      const gain = await compileGain(await testCompiler(), config, shape, image, compiled);
      if (!gain) return compiled.slice(before).map(({ name }) => name);
      compiled.push(gain);
    }
  };
  assertEquals(await added("q", "down"), ["q", "down"]);
  assertEquals(await added("q", "v", "lm_head"), ["v", "lm_head"]);
  assertEquals(await added("embed", "lm_head"), ["embed"]);
  assertEquals(await added(), []);
});

/** DoRA on both ends that changes nothing of the embedding, and multiplies the logit of token v by `times(v)`. */
async function writeAdapter(
  base: string,
  directory: string,
  times: (token: number) => number,
): Promise<void> {
  const { vocabSize, hiddenSize } = await loadModelConfig(base);
  using checkpoint = Checkpoint.open(base);
  const tensor = checkpoint.find("model.embed_tokens.weight");
  if (!tensor) throw new Error("the demo has an embedding");
  const table = readFloats(tensor);
  const [rows, columns] = [new Float64Array(vocabSize), new Float64Array(hiddenSize)];
  table.forEach((value, i) => {
    const [token, column] = [Math.floor(i / hiddenSize), i % hiddenSize];
    rows[token] = (rows[token] ?? 0) + value ** 2;
    columns[column] = (columns[column] ?? 0) + value ** 2;
  });
  const f32 = (shape: readonly number[], at: (i: number) => number): TensorData => {
    const length = shape.reduce((a, b) => a * b, 1);
    return { dtype: "F32", shape, values: Float32Array.from({ length }, (_, i) => at(i)) };
  };
  const key = (name: string) => `base_model.model.${name}`;
  const [rank, one, zero] = [3, () => 1, () => 0];
  writeSafetensors(`${directory}/adapter_model.safetensors`, {
    [key("model.embed_tokens.lora_embedding_A")]: f32([rank, vocabSize], one),
    [key("model.embed_tokens.lora_embedding_B")]: f32([hiddenSize, rank], zero),
    [key("model.embed_tokens.lora_magnitude_vector")]: f32(
      [hiddenSize],
      (d) => Math.sqrt(columns[d] ?? NaN),
    ),
    [key("lm_head.lora_A.weight")]: f32([rank, hiddenSize], one),
    [key("lm_head.lora_B.weight")]: f32([vocabSize, rank], zero),
    [key("lm_head.lora_magnitude_vector")]: f32(
      [vocabSize],
      (v) => times(v) * Math.sqrt(rows[v] ?? NaN),
    ),
  });
  const config = {
    peft_type: "LORA",
    r: rank,
    lora_alpha: 4,
    use_dora: true,
    target_modules: ["embed_tokens", "lm_head"],
  };
  Deno.writeTextFileSync(`${directory}/adapter_config.json`, JSON.stringify(config));
}

const demo = new URL("../../../models/demo/base", import.meta.url).pathname;
const times = (token: number) => 0.5 + token % 7 / 4;
/** f16 activations, and in int8 what rounding moves a row's norm by. */
const BARS = { auto: 1e-3, int8: 1e-2 } as const;

for (const dtype of ["auto", "int8"] as const) {
  Deno.test(`DoRA's gains of a tied head are those of the weights that it multiplies with, --dtype ${dtype}`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      await writeAdapter(demo, directory, times);
      const executor = await GoldenExecutor.start(demo, 1, { dtype });
      const route = await executor.adapter(demo, directory);
      const prompt = [40, 7, 199, 12];
      const logits = [];
      for (const [slot, routes] of [[], [route]].entries()) {
        const { slot: id } = executor.open(slot, prompt, routes);
        await executor.step([{ slot: id, tokens: prompt, position: 0, blocks: 1 }]);
        logits.push(await executor.logits());
      }
      const [base = [], adapted = []] = logits;
      const expected = Float64Array.from(base, (logit, token) => logit * times(token));
      assertClose(adapted, expected, BARS[dtype], "logits");
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
