import { assertEquals, assertNotEquals } from "@std/assert";
import { loadModelConfig } from "../../../models/parse_config.ts";
import { SafetensorsFile } from "../../../models/safetensors.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { goldens } from "../../support/goldens.ts";
import { randomFloats, randomSource } from "../../support/random.ts";
import { writeRaw, writeSafetensors } from "../../support/write_safetensors.ts";

const CUT = ["model.embed_tokens.weight", "lm_head.weight"];

/** The checkpoint in `from` without the last `less` tokens of its vocabulary, as fine-tuners add odd numbers of them. */
async function cutVocabulary(from: string, to: string, less: number): Promise<number> {
  const config = JSON.parse(await Deno.readTextFile(`${from}/config.json`));
  config.vocab_size -= less;
  await Deno.writeTextFile(`${to}/config.json`, JSON.stringify(config));
  using file = SafetensorsFile.open(`${from}/model.safetensors`);
  const header: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape: [rows = 0, ...rest], bytes }] of file.tensors) {
    const kept = CUT.includes(name) ? rows - less : rows;
    const part = new Uint8Array(bytes / rows * kept);
    file.readInto(name, 0, part);
    header[name] = { dtype, shape: [kept, ...rest], data_offsets: [at, at += part.length] };
    parts.push(part);
  }
  writeRaw(
    `${to}/model.safetensors`,
    header,
    new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()),
  );
  return config.vocab_size;
}

/** DoRA on lm_head whose rows are the same for every vocabulary, beside the model in `directory`. */
async function writeHeadAdapter(directory: string, to: string): Promise<void> {
  const { vocabSize, hiddenSize } = await loadModelConfig(directory);
  const [rank, random] = [5, randomSource(3)];
  const f32 = (...shape: number[]) => ({
    dtype: "F32" as const,
    shape,
    values: randomFloats(random, shape.reduce((a, b) => a * b, 1)),
  });
  const key = (part: string) => `base_model.model.lm_head.${part}`;
  const a = f32(rank, hiddenSize);
  const ofTokens = f32(1000, rank + 1).values;
  const rows = (first: number, width: number) => ({
    dtype: "F32" as const,
    shape: width === 1 ? [vocabSize] : [vocabSize, width],
    values: Float32Array.from(
      { length: vocabSize * width },
      (_, i) => ofTokens[Math.floor(i / width) * (rank + 1) + first + i % width] ?? NaN,
    ),
  });
  await Deno.mkdir(to);
  writeSafetensors(`${to}/adapter_model.safetensors`, {
    [key("lora_A.weight")]: a,
    [key("lora_B.weight")]: rows(0, rank),
    [key("lora_magnitude_vector")]: rows(rank, 1),
  });
  const config = {
    peft_type: "LORA",
    r: rank,
    lora_alpha: 1,
    use_dora: true,
    target_modules: ["lm_head"],
  };
  await Deno.writeTextFile(`${to}/adapter_config.json`, JSON.stringify(config));
}

Deno.test("a vocabulary of any size gives the logits that its tokens have in a larger one", async () => {
  const { directory } = goldens("mistral");
  const cut = await Deno.makeTempDir();
  try {
    const vocab = await cutVocabulary(directory, cut, 3);
    const logits = [];
    for (const [i, model] of [directory, cut].entries()) {
      const executor = await GoldenExecutor.start(model);
      await writeHeadAdapter(model, `${cut}/adapter${i}`);
      const route = await executor.adapter(model, `${cut}/adapter${i}`);
      const sequences = [0, 1, 2].map((slot) =>
        executor.open(slot, [5, 6, 7], slot === 1 ? [route] : [])
      );
      for (const { slot, prompt } of sequences) {
        await executor.step([{ slot, tokens: prompt.slice(0, 2), position: 0, blocks: 1 }]);
      }
      await executor.step(
        sequences.map(({ slot, prompt }) => ({ slot, tokens: prompt.slice(2), position: 2 })),
      );
      logits.push(await executor.logits(3));
    }
    const [whole, odd] = logits;
    const stride = (whole?.length ?? 0) / 3;
    for (const row of [0, 1, 2]) {
      assertEquals(
        odd?.subarray(row * vocab, (row + 1) * vocab),
        whole?.subarray(row * stride, row * stride + vocab),
      );
    }
    assertNotEquals(whole?.slice(0, stride), whole?.slice(stride, 2 * stride));
    assertEquals(whole?.slice(0, stride), whole?.slice(2 * stride));
  } finally {
    await Deno.remove(cut, { recursive: true });
  }
});
