import { bufferBytes } from "../../models/stream_weights.ts";
import { weightPlan } from "../../models/weight_plan.ts";
import { parseModelConfig } from "../../models/parse_config.ts";

/** Llama-3-8B's shape, or the same proportions small enough for a software adapter. */
export function llama8b(software: boolean): Record<string, unknown> {
  const scale = software ? 16 : 1;
  return {
    model_type: "llama",
    hidden_size: 4096 / scale,
    intermediate_size: 14336 / scale,
    num_hidden_layers: software ? 2 : 32,
    num_attention_heads: software ? 4 : 32,
    num_key_value_heads: software ? 2 : 8,
    head_dim: software ? 64 : 128,
    vocab_size: software ? 1024 : 128256,
    max_position_embeddings: 8192,
    rms_norm_eps: 1e-5,
    hidden_act: "silu",
    tie_word_embeddings: false,
    rope_theta: 500000,
    dtype: "float16",
  };
}

const BLOCK = 64 * 2 ** 20;

/** Writes a checkpoint of random f16 weights (near 0.01, both signs) and norms of 1, and returns its bytes. */
export async function writeRandomModel(
  directory: string,
  json: Record<string, unknown>,
): Promise<number> {
  await Deno.mkdir(directory, { recursive: true });
  await Deno.writeTextFile(`${directory}/config.json`, JSON.stringify(json));
  const config = parseModelConfig(json, "bench");
  const header: Record<string, unknown> = {};
  const norms: { readonly at: number; readonly count: number }[] = [];
  let end = 0;
  for (const { kind, parts } of weightPlan(config)) {
    for (const { tensor, shape } of parts) {
      const bytes = bufferBytes({ name: tensor, kind, parts: [{ tensor, shape }] });
      if (kind !== "matrix") norms.push({ at: end, count: bytes / 4 });
      header[tensor] = {
        dtype: kind === "matrix" ? "F16" : "F32",
        shape,
        data_offsets: [end, end + bytes],
      };
      end += bytes;
    }
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(text.length), true);
  using file = await Deno.create(`${directory}/model.safetensors`);
  for (const part of [prefix, text]) await writeAll(file, part);
  const words = new Uint32Array(BLOCK / 4);
  for (let i = 0; i < words.length; i++) {
    // Sign and mantissa at random, exponent of 0.01.
    words[i] = (0x21002100 | (Math.random() * 2 ** 32 & 0x83ff83ff)) >>> 0;
  }
  const block = new Uint8Array(words.buffer);
  for (let at = 0; at < end; at += BLOCK) {
    await writeAll(file, block.subarray(0, Math.min(BLOCK, end - at)));
  }
  // As random bits they would be 1e-19, and all that follows from them nothing, which can run faster than numbers do.
  for (const { at, count } of norms) {
    await file.seek(prefix.length + text.length + at, Deno.SeekMode.Start);
    await writeAll(file, new Uint8Array(new Float32Array(count).fill(1).buffer));
  }
  return end;
}

async function writeAll(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
}
