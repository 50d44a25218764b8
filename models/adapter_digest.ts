import { createHash, type Hash } from "node:crypto";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS, type AdapterFiles } from "./adapter_files.ts";

/**
 * sha256 (hex) over an adapter's config and weights: an adapter's identity, whatever its name.
 * @throws {Deno.errors.NotFound} where a file is missing, {TypeError} where one is no file.
 */
export async function adapterDigest(directory: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of [ADAPTER_CONFIG, ADAPTER_WEIGHTS]) {
    const path = `${directory}/${name}`;
    // A pipe would hold up whoever opens it, for as long as nobody writes.
    if (!(await Deno.stat(path)).isFile) {
      throw new TypeError(`Cannot read adapter: expected a file, received ${path}`);
    }
    using file = await Deno.open(path);
    begin(hash, name, (await file.stat()).size);
    const bytes = new Uint8Array(2 ** 20);
    for (let count = await file.read(bytes); count !== null; count = await file.read(bytes)) {
      hash.update(bytes.subarray(0, count));
    }
  }
  return hash.digest("hex");
}

/** The same of files that were read. */
export function digestOfFiles({ config, weights }: AdapterFiles): string {
  const hash = createHash("sha256");
  begin(hash, ADAPTER_CONFIG, config.length).update(config);
  begin(hash, ADAPTER_WEIGHTS, weights.length).update(weights);
  return hash.digest("hex");
}

/** Name and size first, so that no bytes can pass from one file to the other. */
const begin = (hash: Hash, name: string, size: number): Hash => hash.update(`${name}:${size}:`);
