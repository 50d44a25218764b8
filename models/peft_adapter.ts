import type { Checkpoint, CheckpointTensor } from "./checkpoint.ts";
import {
  type HeadModule,
  type LayerModule,
  type ModelConfig,
  moduleShape,
} from "./model_config.ts";
import { parsePeftConfig, type PeftConfig, rankAndScale } from "./peft_config.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { readFloats, sameValues } from "./tensor_values.ts";

/** One adapted matrix; values are read when asked for, and let go by the caller. */
export interface PeftModule {
  readonly module: LayerModule | HeadModule;
  readonly rank: number;
  readonly scale: number;
  readonly dtype: "f16" | "bf16" | "f32";
  /** [rank][in] and [out][rank], as PEFT stores them. */
  a(): Float32Array;
  b(): Float32Array;
  /** [out] of lora_bias and of DoRA's magnitude, null where there is none. */
  bias(): Float32Array | null;
  magnitude(): Float32Array | null;
}

/** A PEFT LoRA adapter whose every tensor was understood. */
export interface PeftAdapter extends Disposable {
  readonly source: string;
  /** layers[i]: modules adapted in layer i. */
  readonly layers: readonly (readonly PeftModule[])[];
  readonly head: readonly PeftModule[];
}

type Part = "a" | "b" | "bias" | "magnitude";
interface Found {
  readonly path: string;
  readonly layer: number | null;
  readonly module: LayerModule | HeadModule;
  readonly parts: Map<Part, string>;
}

const PREFIX = "base_model.model.";
const MODULE = /^model\.layers\.(\d+)\.(?:self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj$/;
const SUFFIXES: readonly (readonly [suffix: string, part: Part])[] = [
  [".lora_A.weight", "a"],
  [".lora_embedding_A", "a"],
  [".lora_B.weight", "b"],
  [".lora_embedding_B", "b"],
  [".lora_B.bias", "bias"],
  [".lora_magnitude_vector", "magnitude"],
];
const MAX_RANK = 256;

/**
 * Opens a PEFT directory and accounts for every tensor in it.
 * @throws {TypeError} naming file, key and reason for anything that is not understood or does not fit the base.
 */
export function openPeftAdapter(
  directory: string,
  model: ModelConfig,
  base: Checkpoint,
): PeftAdapter {
  const config = readConfig(`${directory}/adapter_config.json`);
  const path = `${directory}/adapter_model.safetensors`;
  if (!exists(path)) {
    const pickle = exists(`${directory}/adapter_model.bin`);
    throw new TypeError(
      `Cannot load adapter: ${
        pickle ? `${directory}/adapter_model.bin: a pickle file can run code; ` : ""
      }` +
        `save it as adapter_model.safetensors, received ${directory}`,
    );
  }
  const file = SafetensorsFile.open(path);
  try {
    const found = classify(file, model, base);
    const layers: PeftModule[][] = Array.from({ length: model.layers }, () => []);
    const head: PeftModule[] = [];
    for (const entry of found) {
      const module = checkModule(file, config, model, entry);
      (entry.layer === null ? head : layers[entry.layer] ?? []).push(module);
    }
    if (found.length === 0) {
      throw new TypeError(`Cannot load adapter: ${path}: it has no LoRA tensors`);
    }
    return { source: directory, layers, head, [Symbol.dispose]: () => file[Symbol.dispose]() };
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

function readConfig(path: string): PeftConfig {
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TypeError(
      `Cannot load adapter: a PEFT directory has adapter_config.json, received ${path}`,
    );
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`Cannot load adapter: ${path}: not JSON: ${(error as Error).message}`);
  }
  return parsePeftConfig(json, path);
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function classify(file: SafetensorsFile, model: ModelConfig, base: Checkpoint): Found[] {
  const found = new Map<string, Found>();
  for (const key of file.tensors.keys()) {
    const refuse = (why: string): never => {
      throw new TypeError(`Cannot load adapter: ${file.path}: ${why}, received ${key}`);
    };
    if (!key.startsWith(PREFIX)) refuse(`an unknown tensor: keys begin with ${PREFIX}`);
    const name = key.slice(PREFIX.length);
    if (isBaseCopy(name)) {
      if (!sameValues(file, key, baseTensor(base, model, name))) {
        refuse(
          "its copy of a base weight differs from the base: the adapter belongs to another model",
        );
      }
      continue;
    }
    const [suffix, part] = SUFFIXES.find(([suffix]) => name.endsWith(suffix)) ??
      refuse("an unknown tensor that no module reads");
    const path = name.slice(0, -suffix.length);
    const [, layer, attention, mlp] = MODULE.exec(path) ?? [];
    const module = (attention ?? mlp ?? HEADS[path]) as LayerModule | HeadModule | undefined;
    if (module === undefined) return refuse("an unknown module");
    if (suffix.startsWith(".lora_embedding") !== (module === "embed") && part !== "magnitude") {
      refuse("an unknown tensor for this module");
    }
    if (layer !== undefined && Number(layer) >= model.layers) {
      refuse(`the base has ${model.layers} layers, no layers.${layer}`);
    }
    const entry = found.get(path) ??
      { path, layer: layer === undefined ? null : Number(layer), module, parts: new Map() };
    entry.parts.set(part, key);
    found.set(path, entry);
  }
  return [...found.values()];
}

const HEADS: Readonly<Record<string, HeadModule>> = {
  "model.embed_tokens": "embed",
  "lm_head": "lm_head",
};
const isBaseCopy = (name: string) =>
  /^(model\.embed_tokens|lm_head)\.(base_layer\.)?weight$/.test(name);

/** The base's own tensor for a copy that PEFT saved beside an adapter on it. */
function baseTensor(base: Checkpoint, model: ModelConfig, name: string): CheckpointTensor | null {
  const own = base.find(name.replace(".base_layer", ""));
  return own ?? (model.tiedEmbeddings ? base.find("model.embed_tokens.weight") : null);
}

/** Shapes, rank and variant of one module against base and config. */
function checkModule(
  file: SafetensorsFile,
  config: PeftConfig,
  model: ModelConfig,
  { path, module, parts }: Found,
): PeftModule {
  const refuse = (why: string, received: unknown): never => {
    throw new TypeError(`Cannot load adapter: ${file.path}: ${why}, received ${received}`);
  };
  const need = (part: Part, suffix: string): string =>
    parts.get(part) ??
      refuse(`${PREFIX}${path}${suffix} is missing`, [...parts.values()].join(", "));
  const embedding = module === "embed";
  const aKey = need("a", embedding ? ".lora_embedding_A" : ".lora_A.weight");
  const bKey = need("b", embedding ? ".lora_embedding_B" : ".lora_B.weight");
  if (config.dora) need("magnitude", ".lora_magnitude_vector");
  else if (parts.has("magnitude")) refuse("a magnitude needs use_dora", parts.get("magnitude"));
  if (config.bias) need("bias", ".lora_B.bias");
  else if (parts.has("bias")) refuse("a bias needs lora_bias", parts.get("bias"));
  if (config.dora && (embedding || module === "lm_head")) {
    refuse("DoRA on embed_tokens or lm_head is not supported", path);
  }
  const [out, input] = moduleShape(model, module);
  const rank = file.tensors.get(aKey)?.shape[0] ?? 0;
  const shapes: [Part, readonly number[]][] = [
    ["a", [rank, input]],
    ["b", [out, rank]],
    ["bias", [out]],
    ["magnitude", [out]],
  ];
  for (const [part, shape] of shapes) {
    const key = parts.get(part);
    const seen = key === undefined ? shape : file.tensors.get(key)?.shape ?? [];
    if (seen.join() !== shape.join()) {
      refuse(`${key} must have shape [${shape}] (rank ${rank} by lora_A)`, `[${seen}]`);
    }
  }
  const told = rankAndScale(config, path);
  if (told.rank !== rank) {
    refuse(`${aKey} must have the rank that adapter_config.json says, ${told.rank}`, rank);
  }
  if (rank > MAX_RANK) refuse(`${aKey} must have a rank of at most ${MAX_RANK}`, rank);
  const read = (part: Part) => {
    const key = parts.get(part);
    return key === undefined ? null : readFloats(file, key);
  };
  return {
    module,
    rank,
    scale: told.scale,
    dtype: commonDtype(file, aKey, bKey),
    a: () => readFloats(file, aKey),
    b: () => readFloats(file, bKey),
    bias: () => read("bias"),
    magnitude: () => read("magnitude"),
  };
}

function commonDtype(file: SafetensorsFile, a: string, b: string): PeftModule["dtype"] {
  const dtypes = [a, b].map((key) => file.tensors.get(key)?.dtype);
  if (dtypes.every((dtype) => dtype === "F16")) return "f16";
  return dtypes.every((dtype) => dtype === "BF16") ? "bf16" : "f32";
}
