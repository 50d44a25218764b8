import { z } from "zod";
import { SafetensorsFile, type TensorInfo } from "./safetensors.ts";

export interface CheckpointTensor extends TensorInfo {
  readonly name: string;
  readonly file: string;
  /** Fills `target` from byte `offset` of the tensor. */
  read(offset: number, target: Uint8Array): void;
}

/** A model's weights: model.safetensors, or the shards that model.safetensors.index.json lists. */
export class Checkpoint implements Disposable {
  readonly #files: readonly SafetensorsFile[];
  readonly #owner = new Map<string, SafetensorsFile>();

  private constructor(files: readonly SafetensorsFile[]) {
    this.#files = files;
    for (const file of files) {
      for (const name of file.tensors.keys()) this.#owner.set(name, file);
    }
  }

  /** @throws {TypeError} naming the file that is missing or damaged. */
  static open(directory: string): Checkpoint {
    const files: SafetensorsFile[] = [];
    try {
      for (const name of shardNames(directory)) {
        files.push(SafetensorsFile.open(`${directory}/${name}`));
      }
      return new Checkpoint(files);
    } catch (error) {
      for (const file of files) file[Symbol.dispose]();
      throw error;
    }
  }

  get names(): readonly string[] {
    return [...this.#owner.keys()];
  }

  find(name: string): CheckpointTensor | null {
    const owner = this.#owner.get(name);
    const info = owner?.tensors.get(name);
    if (!owner || !info) return null;
    return {
      ...info,
      name,
      file: owner.path,
      read: (offset, target) => owner.readInto(name, offset, target),
    };
  }

  [Symbol.dispose](): void {
    for (const file of this.#files) file[Symbol.dispose]();
  }
}

const Index = z.object({ weight_map: z.record(z.string(), z.string().regex(/^[^/\\]+$/)) });

function shardNames(directory: string): string[] {
  const index = `${directory}/model.safetensors.index.json`;
  let text: string;
  try {
    text = Deno.readTextFileSync(index);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return ["model.safetensors"];
    throw error;
  }
  const parsed = Index.safeParse(JSON.parse(text));
  if (!parsed.success) {
    throw new TypeError(`Cannot load model: ${index}: ${z.prettifyError(parsed.error)}`);
  }
  return [...new Set(Object.values(parsed.data.weight_map))].sort();
}
