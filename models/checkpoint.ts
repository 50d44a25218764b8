import { z } from "zod";
import { isFile } from "./is_file.ts";
import { readJsonSync } from "./read_json.ts";
import { SafetensorsFile, type Tensor } from "./safetensors.ts";

/**
 * A model's weights: model.safetensors, or the shards that model.safetensors.index.json lists. Tensors
 * saved from the model without its head lack the prefix `model.`; they are found under the full name.
 */
export class Checkpoint implements Disposable {
  readonly #files: readonly SafetensorsFile[];
  /** By full name: the file, and the tensor's name in it. */
  readonly #owners = new Map<string, { readonly file: SafetensorsFile; readonly key: string }>();

  private constructor(files: readonly SafetensorsFile[]) {
    this.#files = files;
    const headless = !files.some(({ tensors }) =>
      [...tensors.keys()].some((key) => key.startsWith("model."))
    );
    for (const file of files) {
      for (const key of file.tensors.keys()) {
        const name = headless && BODY.test(key) ? `model.${key}` : key;
        const other = this.#owners.get(name)?.file;
        if (other) {
          throw new TypeError(
            `Cannot load model: ${other.path} and ${file.path} must not both have a tensor, ` +
              `received ${key}`,
          );
        }
        this.#owners.set(name, { file, key });
      }
    }
  }

  /** @throws {TypeError} naming the file that is missing or damaged, or not what the index says. */
  static open(directory: string): Checkpoint {
    const { shards, owners } = readIndex(directory);
    const files = new Map<string, SafetensorsFile>();
    try {
      for (const shard of shards) {
        files.set(shard, SafetensorsFile.open(`${directory}/${shard}`));
      }
      for (const [tensor, shard] of owners) {
        if (files.get(shard)?.tensors.has(tensor)) continue;
        throw new TypeError(
          `Cannot load model: ${directory}/${shard} must hold what ${INDEX} says, ` +
            `received no tensor ${tensor}`,
        );
      }
      return new Checkpoint([...files.values()]);
    } catch (error) {
      for (const file of files.values()) file[Symbol.dispose]();
      throw error;
    }
  }

  get names(): readonly string[] {
    return [...this.#owners.keys()];
  }

  find(name: string): Tensor | null {
    const owner = this.#owners.get(name);
    return owner?.file.find(owner.key) ?? null;
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
  }
}

const BODY = /^(embed_tokens|layers|norm)\./;
const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const Index = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+$/)) });

interface ShardIndex {
  readonly shards: readonly string[];
  readonly owners: readonly (readonly [tensor: string, shard: string])[];
}

/** A directory that has both a single file and shards is read as transformers does: the single file. */
function readIndex(directory: string): ShardIndex {
  const path = `${directory}/${INDEX}`;
  const json = isFile(`${directory}/${SINGLE}`) ? undefined : readJsonSync(path, "load model");
  if (json === undefined) return { shards: [SINGLE], owners: [] };
  const parsed = Index.safeParse(json);
  if (!parsed.success) {
    throw new TypeError(`Cannot load model: ${path}: ${z.prettifyError(parsed.error)}`);
  }
  const { weight_map } = parsed.data;
  return {
    shards: [...new Set(Object.values(weight_map))].sort(),
    owners: Object.entries(weight_map),
  };
}
