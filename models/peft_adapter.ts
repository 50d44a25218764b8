import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, type AdapterFiles } from "./adapter_files.ts";
import { MAX_RANK } from "./adapter_image.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type HalfMatrices, readHalfMatrices } from "./half_matrices.ts";
import {
  type HeadModule,
  LAYER_MODULES,
  type LayerModule,
  type ModelConfig,
  moduleShape,
} from "./model_config.ts";
import { parsePeftConfig, type PeftConfig, rankAndScale } from "./peft_config.ts";
import {
  type AdapterPart,
  EMBEDDING_PARTS,
  LINEAR_PARTS,
  modulesOf,
  type ModuleTensors,
  PEFT_PREFIX,
} from "./peft_tensors.ts";
import { parseJson } from "./read_json.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { readFloats } from "./tensor_values.ts";

/** One adapted matrix; values are read when asked for, and let go by the caller. */
export interface PeftModule {
  readonly module: LayerModule | HeadModule;
  readonly rank: number;
  readonly scale: number;
  matrices(): HalfMatrices;
  /** [out] of lora_bias and of DoRA's magnitude, null where there is none. */
  readonly bias: (() => Float32Array) | null;
  readonly magnitude: (() => Float32Array) | null;
}

/** A PEFT LoRA adapter whose every tensor was understood. */
export interface PeftAdapter extends Disposable {
  readonly source: string;
  /** layers[i]: modules adapted in layer i. */
  readonly layers: readonly (readonly PeftModule[])[];
  readonly head: readonly PeftModule[];
}

/**
 * Accounts for every tensor of a PEFT adapter, and for every module that its config names.
 * @throws {TypeError} naming file, key and reason for anything that is not understood or does not fit the base.
 */
export function parsePeftAdapter(
  { directory, config, weights }: AdapterFiles,
  model: ModelConfig,
  base: Checkpoint,
): PeftAdapter {
  const path = `${directory}/${ADAPTER_CONFIG}`;
  const json = parseJson(new TextDecoder().decode(config), path, "load adapter");
  const file = SafetensorsFile.of(`${directory}/${ADAPTER_WEIGHTS}`, weights);
  return check(directory, parsePeftConfig(json, path), file, model, base);
}

/** Takes `file` over, and closes it where it is refused. */
function check(
  directory: string,
  config: PeftConfig,
  file: SafetensorsFile,
  model: ModelConfig,
  base: Checkpoint,
): PeftAdapter {
  const { path } = file;
  try {
    const found = modulesOf(file, model, base);
    if (found.length === 0) {
      throw new TypeError(`Cannot load adapter: ${path}: it has no LoRA tensors`);
    }
    const layers: PeftModule[][] = Array.from({ length: model.layers }, () => []);
    const head: PeftModule[] = [];
    for (const entry of found) {
      const module = checkModule(file, config, model, entry);
      (entry.layer === null ? head : layers[entry.layer] ?? []).push(module);
    }
    checkTargets(path, config, model, new Set(found.map(({ path }) => path)));
    return { source: directory, layers, head, [Symbol.dispose]: () => file[Symbol.dispose]() };
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

/** PEFT ignores tensors of modules it was not told of and starts absent ones anew: neither is the adapter. */
function checkTargets(
  file: string,
  { targets }: PeftConfig,
  model: ModelConfig,
  found: ReadonlySet<string>,
): void {
  if (targets === null) return;
  const all = ["model.embed_tokens", "lm_head"];
  for (let i = 0; i < model.layers; i++) {
    for (const module of LAYER_MODULES) {
      const block = ["gate", "up", "down"].includes(module) ? "mlp" : "self_attn";
      all.push(`model.layers.${i}.${block}.${module}_proj`);
    }
  }
  for (const module of all) {
    if (targets(module) === found.has(module)) continue;
    const why = found.has(module)
      ? "it has tensors of a module that target_modules in adapter_config.json does not name"
      : "a module that target_modules in adapter_config.json names is missing";
    throw new TypeError(`Cannot load adapter: ${file}: ${why}, received ${PEFT_PREFIX}${module}`);
  }
}

/** Shapes, rank and variant of one module against base and config. */
function checkModule(
  file: SafetensorsFile,
  config: PeftConfig,
  model: ModelConfig,
  { path, module, parts }: ModuleTensors,
): PeftModule {
  const refuse = (why: string, received: unknown): never => {
    throw new TypeError(`Cannot load adapter: ${file.path}: ${why}, received ${received}`);
  };
  const endings = module === "embed" ? EMBEDDING_PARTS : LINEAR_PARTS;
  const need = (part: AdapterPart) =>
    parts.get(part) ??
      refuse(
        `${PEFT_PREFIX}${path}${endings[part] ?? LINEAR_PARTS[part]} is missing`,
        [...parts.values()].map(({ name }) => name).join(", "),
      );
  const [a, b] = [need("a"), need("b")];
  if (config.dora) need("magnitude");
  else if (parts.has("magnitude")) {
    refuse("a magnitude needs use_dora", parts.get("magnitude")?.name);
  }
  if (config.bias) need("bias");
  else if (parts.has("bias")) refuse("a bias needs lora_bias", parts.get("bias")?.name);
  const [out, input] = moduleShape(model, module);
  const rank = a.shape[0] ?? 0;
  const shapes = { a: [rank, input], b: [out, rank], bias: [out], magnitude: [out] };
  for (const [part, { name, shape, dtype }] of parts) {
    if (!["F16", "BF16", "F32"].includes(dtype)) {
      refuse(`${name} must be F16, BF16 or F32`, dtype);
    }
    if (shape.join() === shapes[part].join()) continue;
    refuse(`${name} must have shape [${shapes[part]}] (rank ${rank} by lora_A)`, `[${shape}]`);
  }
  const told = rankAndScale(config, path);
  if (told.rank !== rank) {
    refuse(`${a.name} must have the rank that adapter_config.json says, ${told.rank}`, rank);
  }
  if (rank > MAX_RANK) refuse(`${a.name} must have a rank of at most ${MAX_RANK}`, rank);
  const read = (part: AdapterPart) => {
    const tensor = parts.get(part);
    return tensor ? () => readFloats(tensor) : null;
  };
  return {
    module,
    rank,
    scale: told.scale,
    matrices: () => readHalfMatrices(a, b),
    bias: read("bias"),
    magnitude: read("magnitude"),
  };
}
