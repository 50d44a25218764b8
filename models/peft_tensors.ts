import type { Checkpoint } from "./checkpoint.ts";
import type { HeadModule, LayerModule, ModelConfig } from "./model_config.ts";
import type { SafetensorsFile, Tensor } from "./safetensors.ts";
import { sameValues } from "./tensor_values.ts";

export type AdapterPart = "a" | "b" | "bias" | "magnitude";

/** The tensors of one adapted module. */
export interface ModuleTensors {
  /** As the base names it: `model.layers.0.self_attn.q_proj`. */
  readonly path: string;
  readonly layer: number | null;
  readonly module: LayerModule | HeadModule;
  readonly parts: ReadonlyMap<AdapterPart, Tensor>;
}

export const PEFT_PREFIX = "base_model.model.";
const MODULE = /^model\.layers\.(0|[1-9]\d*)\.(?:self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj$/;
const HEADS: Readonly<Record<string, HeadModule>> = {
  "model.embed_tokens": "embed",
  "lm_head": "lm_head",
};
const BASE_COPY = /^(model\.embed_tokens|lm_head)\.(base_layer\.)?weight$/;

/** Key endings of a linear's and of an embedding's parts (peft.tuners.lora.layer). */
export const LINEAR_PARTS: Readonly<Record<AdapterPart, string>> = {
  a: ".lora_A.weight",
  b: ".lora_B.weight",
  bias: ".lora_B.bias",
  magnitude: ".lora_magnitude_vector",
};
export const EMBEDDING_PARTS: Partial<Record<AdapterPart, string>> = {
  a: ".lora_embedding_A",
  b: ".lora_embedding_B",
  magnitude: ".lora_magnitude_vector",
};

/**
 * Sorts an adapter file's tensors by the module they belong to; copies of base weights, which PEFT saves
 * beside adapters on embed_tokens and lm_head, must equal the base's.
 * @throws {TypeError} naming the file and the key that belongs to nothing.
 */
export function modulesOf(
  file: SafetensorsFile,
  model: ModelConfig,
  base: Checkpoint,
): ModuleTensors[] {
  const found = new Map<string, ModuleTensors & { parts: Map<AdapterPart, Tensor> }>();
  for (const key of file.tensors.keys()) {
    const refuse = (why: string): never => {
      throw new TypeError(`Cannot load adapter: ${file.path}: ${why}, received ${key}`);
    };
    const tensor = file.find(key);
    if (!tensor || !key.startsWith(PEFT_PREFIX)) {
      return refuse(`an unknown tensor: keys begin with ${PEFT_PREFIX}`);
    }
    const name = key.slice(PEFT_PREFIX.length);
    if (BASE_COPY.test(name)) {
      const own = baseTensor(base, model, name);
      if (own && sameValues(tensor, own)) continue;
      refuse(
        "its copy of a base weight differs from the base: the adapter belongs to another model",
      );
    }
    const [path, part] = split(name) ?? refuse("an unknown tensor that no module reads");
    const [, layer, attention, mlp] = MODULE.exec(path) ?? [];
    const module = (attention ?? mlp ?? HEADS[path]) as LayerModule | HeadModule | undefined;
    if (module === undefined) return refuse("an unknown module");
    const ending = (module === "embed" ? EMBEDDING_PARTS : LINEAR_PARTS)[part];
    if (name !== `${path}${ending}`) refuse("an unknown tensor for this module");
    if (Number(layer) >= model.layers) {
      refuse(`the base has ${model.layers} layers, no layers.${layer}`);
    }
    const entry = found.get(path) ??
      { path, layer: layer === undefined ? null : Number(layer), module, parts: new Map() };
    entry.parts.set(part, tensor);
    found.set(path, entry);
  }
  return [...found.values()];
}

function split(name: string): readonly [path: string, part: AdapterPart] | null {
  for (const endings of [LINEAR_PARTS, EMBEDDING_PARTS]) {
    for (const [part, ending] of Object.entries(endings)) {
      if (name.endsWith(ending)) return [name.slice(0, -ending.length), part as AdapterPart];
    }
  }
  return null;
}

/** The base's own tensor for a copy of it; a tied head is the embedding. */
function baseTensor(base: Checkpoint, model: ModelConfig, name: string): Tensor | null {
  const own = base.find(name.replace(".base_layer", ""));
  return own ?? (model.tiedEmbeddings ? base.find("model.embed_tokens.weight") : null);
}
