import { assert, assertEquals } from "@std/assert";
import { loadModelConfig } from "../../../models/parse_config.ts";
import { weightPlan } from "../../../models/weight_plan.ts";
import type { Loaded } from "../../support/loading_process.ts";
import { writeRaw } from "../../support/write_safetensors.ts";

/** 14 layers of 32 MiB each, and 16 MiB for either table: the largest tensor has 16. */
const CONFIG = {
  model_type: "llama",
  hidden_act: "silu",
  hidden_size: 1024,
  intermediate_size: 4096,
  num_hidden_layers: 14,
  num_attention_heads: 16,
  num_key_value_heads: 16,
  vocab_size: 8192,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: false,
};

/** A checkpoint of zeros, which take no room on most disks, in as many files as there are `shards`; its bytes. */
async function writeShards(directory: string, shards: number): Promise<number> {
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(CONFIG));
  const parts = weightPlan(await loadModelConfig(directory)).flatMap((buffer) => buffer.parts);
  const owners: Record<string, string> = {};
  let all = 0;
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${shard}.safetensors`;
    const header: Record<string, unknown> = {};
    let at = 0;
    const [from, end] = [shard, shard + 1].map((n) => Math.round(n * parts.length / shards));
    for (const { tensor, shape } of parts.slice(from, end)) {
      const bytes = 2 * shape.reduce((a, b) => a * b, 1);
      header[tensor] = { dtype: "BF16", shape, data_offsets: [at, at += bytes] };
      owners[tensor] = file;
    }
    writeRaw(`${directory}/${file}`, header, new Uint8Array());
    const { size } = await Deno.stat(`${directory}/${file}`);
    await Deno.truncate(`${directory}/${file}`, size + at);
    all += at;
  }
  const index = JSON.stringify({ weight_map: owners });
  await Deno.writeTextFile(`${directory}/model.safetensors.index.json`, index);
  return all;
}

async function load(directory: string): Promise<Loaded> {
  const program = new URL("../../support/loading_process.ts", import.meta.url).href;
  const { stdout, code } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--v8-flags=--expose-gc", program, directory],
    stderr: "inherit",
  }).output();
  assertEquals(code, 0);
  return JSON.parse(new TextDecoder().decode(stdout));
}

Deno.test("host memory never holds a model that is loaded, nor one of its files", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const bytes = await writeShards(directory, 2);
    const { hostBytes, software } = await load(directory);
    const held = hostBytes - (software ? bytes : 0);
    // A shard is half of it; drivers take tens of megabytes for themselves.
    assert(held < 0.45 * bytes, `${held} bytes of ${bytes}`);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
