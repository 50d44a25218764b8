import { assertEquals } from "@std/assert";
import OpenAI from "openai";
import { loadModelConfig } from "../../models/parse_config.ts";
import { SafetensorsFile } from "../../models/safetensors.ts";
import { readFloats } from "../../models/tensor_values.ts";
import { goldenModel, textOf } from "../support/golden_model.ts";
import { goldens } from "../support/goldens.ts";
import { startServer } from "../support/server.ts";
import { type TensorData, writeSafetensors } from "../support/write_safetensors.ts";

const golden = goldens("llama");
/** Rank 64 is that of 8, to which zeros were added. */
const VARIANTS = { r1: "qv_r1", r4: "pissa_converted", r64: "plain", r256: "big" } as const;

Deno.test("adapters of ranks 1, 4, 64 and 256, loaded while it runs, answer right in one batch (vLLM #2847, #3310, #3934)", async () => {
  const config = await loadModelConfig(golden.directory);
  const root = await Deno.makeTempDir();
  const padded = `${root}/padded`;
  await padTo64(`${golden.directory}/adapters/plain`, padded);
  await using model = await goldenModel("llama", config.vocabSize);
  await using server = await startServer({
    args: [
      ...["--model", model.directory, "--name", "base", "--max-model-len", "256"],
      ...["--adapter-roots", `${golden.directory}/adapters,${root}`, "--admin-key", "key"],
      ...["--pool-bytes", "64MiB"],
    ],
  });
  for (const [lora_name, variant] of Object.entries(VARIANTS)) {
    const response = await fetch(`${server.url}/v1/load_lora_adapter`, {
      method: "POST",
      headers: { authorization: "Bearer key", "content-type": "application/json" },
      body: JSON.stringify({
        lora_name,
        lora_path: lora_name === "r64" ? padded : `${golden.directory}/adapters/${variant}`,
      }),
    });
    const text = await response.text();
    assertEquals(response.status, 200, text);
  }
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const answers = await Promise.all(
    Object.entries({ base: "base", ...VARIANTS }).flatMap(([model, variant]) =>
      (golden.cases[variant]?.prompts ?? []).map(async ({ prompt, tokens }) => {
        const { choices } = await client.completions.create({
          model,
          prompt,
          max_tokens: golden.steps,
          temperature: 0,
        });
        return { model, text: choices[0]?.text, expected: textOf(tokens) };
      })
    ),
  );
  assertEquals(new Set(answers.map(({ model }) => model)).size, 5);
  for (const { model, text, expected } of answers) assertEquals([model, text], [model, expected]);
  await Deno.remove(root, { recursive: true });
});

/** An adapter of rank 8 as one of rank 64 that computes the same. */
async function padTo64(from: string, to: string): Promise<void> {
  const { r, lora_alpha, ...rest } = JSON.parse(
    await Deno.readTextFile(`${from}/adapter_config.json`),
  );
  await Deno.mkdir(to);
  const wide = { ...rest, r: 64, lora_alpha: lora_alpha * 64 / r };
  await Deno.writeTextFile(`${to}/adapter_config.json`, JSON.stringify(wide));
  using file = SafetensorsFile.open(`${from}/adapter_model.safetensors`);
  const tensors: Record<string, TensorData> = {};
  for (const name of file.tensors.keys()) {
    const tensor = file.find(name);
    if (!tensor) continue;
    const values = readFloats(tensor);
    const [rows = 0, columns = 0] = tensor.shape;
    const isA = name.includes("lora_A");
    const shape = isA ? [64, columns] as const : [rows, 64] as const;
    const padded = new Float32Array(shape[0] * shape[1]);
    for (let i = 0; i < rows; i++) {
      padded.set(values.subarray(i * columns, (i + 1) * columns), i * shape[1]);
    }
    tensors[name] = { dtype: "F16", shape, values: padded };
  }
  writeSafetensors(`${to}/adapter_model.safetensors`, tensors);
}
