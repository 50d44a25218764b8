import { LAYER_MODULES, type LayerModule, type ModelConfig } from "../../models/model_config.ts";
import { moduleShape } from "../../models/model_config.ts";

export interface AdapterPlan {
  readonly count: number;
  /** Adapter i has rank `ranks[i % ranks.length]`, as in S-LoRA's settings. */
  readonly ranks: readonly number[];
  readonly modules: readonly LayerModule[];
}

const HALF = 2;
const ALPHA = 16;
const MODULE_PATHS: Readonly<Record<LayerModule, string>> = {
  q: "self_attn.q_proj",
  k: "self_attn.k_proj",
  v: "self_attn.v_proj",
  o: "self_attn.o_proj",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
};

/** `a00000`, `a00001`, ...: in this order by name too. */
export const adapterName = (i: number): string => `a${String(i).padStart(5, "0")}`;

/**
 * Writes PEFT directories of random f16 weights (near 0.001, both signs, as S-LoRA's dummies) and returns their
 * bytes. All are windows of one random buffer, each begun two bytes on: no two have the same bytes.
 */
export async function writeRandomAdapters(
  directory: string,
  config: ModelConfig,
  { count, ranks, modules }: AdapterPlan,
): Promise<number> {
  const files = new Map(ranks.map((rank) => [rank, adapterFile(config, rank, modules)]));
  const largest = Math.max(...[...files.values()].map(({ bytes }) => bytes));
  const words = new Uint32Array(Math.ceil((largest + HALF * count) / 4));
  // Sign and mantissa at random, exponent of 0.001.
  for (let i = 0; i < words.length; i++) {
    words[i] = (0x14001400 | (Math.random() * 2 ** 32 & 0x83ff83ff)) >>> 0;
  }
  let written = 0;
  for (let i = 0; i < count; i++) {
    const rank = ranks[i % ranks.length] ?? 0;
    const { prefix, bytes } = files.get(rank) ?? { prefix: new Uint8Array(0), bytes: 0 };
    const path = `${directory}/${adapterName(i)}`;
    Deno.mkdirSync(path, { recursive: true });
    Deno.writeTextFileSync(`${path}/adapter_config.json`, adapterConfig(rank, modules));
    using file = await Deno.create(`${path}/adapter_model.safetensors`);
    writeAll(file, prefix);
    writeAll(file, new Uint8Array(words.buffer, HALF * i, bytes));
    written += bytes;
  }
  return written;
}

/** All modules, or q,k,v,o. @throws {RangeError} */
export function modulesOf(text: string): LayerModule[] {
  const modules = text === "all" ? [...LAYER_MODULES] : text.split(",");
  return modules.map((name) => {
    const module = LAYER_MODULES.find((known) => known === name);
    if (module) return module;
    throw new RangeError(
      `Cannot make adapters: expected modules of ${LAYER_MODULES.join()}, received ${text}`,
    );
  });
}

const adapterConfig = (rank: number, modules: readonly LayerModule[]) =>
  JSON.stringify({
    peft_type: "LORA",
    task_type: "CAUSAL_LM",
    r: rank,
    lora_alpha: ALPHA,
    target_modules: modules.map((module) => `${module}_proj`),
  });

/** The safetensors header of such an adapter and the bytes that follow it. */
function adapterFile(config: ModelConfig, rank: number, modules: readonly LayerModule[]) {
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  let bytes = 0;
  const add = (name: string, shape: readonly [number, number]) => {
    const end = bytes + shape[0] * shape[1] * HALF;
    header[name] = { dtype: "F16", shape, data_offsets: [bytes, end] };
    bytes = end;
  };
  for (let layer = 0; layer < config.layers; layer++) {
    for (const module of modules) {
      const [out, input] = moduleShape(config, module);
      const path = `base_model.model.model.layers.${layer}.${MODULE_PATHS[module]}`;
      add(`${path}.lora_A.weight`, [rank, input]);
      add(`${path}.lora_B.weight`, [out, rank]);
    }
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const prefix = new Uint8Array(8 + text.length);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(text.length), true);
  prefix.set(text, 8);
  return { prefix, bytes };
}

function writeAll(file: Deno.FsFile, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
}
