/** An adapter's files as they were read, all at one time: what is checked is what is used. */
export interface AdapterFiles {
  readonly directory: string;
  readonly config: Uint8Array<ArrayBuffer>;
  readonly weights: Uint8Array<ArrayBuffer>;
}

export const ADAPTER_CONFIG = "adapter_config.json";
export const ADAPTER_WEIGHTS = "adapter_model.safetensors";
/** Which file it is, and why it is not read. */
export const PICKLE_REFUSAL =
  `adapter_model.bin: a pickle file can run code; save it as ${ADAPTER_WEIGHTS}`;

/** readFile() takes many times as long for a large file. */
const AT_ONCE = 4 * 2 ** 20;

/**
 * Reads a PEFT directory into memory without ever blocking the thread.
 * @throws {TypeError} where a file is missing, or their bytes together exceed `limit`.
 */
export async function readAdapterFiles(directory: string, limit: number): Promise<AdapterFiles> {
  const config = await read(`${directory}/${ADAPTER_CONFIG}`, limit);
  if (!config) {
    throw new TypeError(
      `Cannot load adapter: a PEFT directory has ${ADAPTER_CONFIG}, received ${directory}`,
    );
  }
  const weights = await read(`${directory}/${ADAPTER_WEIGHTS}`, limit - config.length);
  if (weights) return { directory, config, weights };
  throw missingWeights(directory, await hasPickle(directory));
}

/** Whether a directory has its weights in the form that PEFT used to write. */
export const hasPickle = (directory: string): Promise<boolean> =>
  exists(`${directory}/adapter_model.bin`);

function missingWeights(directory: string, pickle: boolean): TypeError {
  const why = pickle ? `${directory}/${PICKLE_REFUSAL}` : `save it as ${ADAPTER_WEIGHTS}`;
  return new TypeError(`Cannot load adapter: ${why}, received ${directory}`);
}

/** A file's bytes, or null where there is none. */
async function read(path: string, limit: number): Promise<Uint8Array<ArrayBuffer> | null> {
  let file: Deno.FsFile;
  try {
    file = await Deno.open(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
  using _ = file;
  const size = await sizeOf(file, path);
  if (size > limit) {
    throw new TypeError(
      `Cannot load adapter: ${path}: a file larger than all adapters in host memory may be ` +
        `(adapter-host-bytes), received ${size} bytes`,
    );
  }
  const bytes = new Uint8Array(size);
  for (let at = 0; at < size;) {
    const count = await file.read(bytes.subarray(at, at + AT_ONCE));
    if (count === null) {
      throw new TypeError(
        `Cannot load adapter: ${path}: the file ends early, received ${at} bytes`,
      );
    }
    at += count;
  }
  return bytes;
}

/** Deno lets a link be opened where its name may be, but not be asked for its size. */
async function sizeOf(file: Deno.FsFile, path: string): Promise<number> {
  try {
    return (await file.stat()).size;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new TypeError(
      "Cannot load adapter: a link leads out of --adapters, --adapter-roots and what else the " +
        `engine may read, received ${path}`,
    );
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
