import { createHash } from "node:crypto";

/**
 * sha256 (hex) over an adapter's config and weights: an adapter's identity, whatever its name.
 * @throws {Deno.errors.NotFound} where a file is missing.
 */
export async function adapterDigest(directory: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of ["adapter_config.json", "adapter_model.safetensors"]) {
    using file = await Deno.open(`${directory}/${name}`);
    hash.update(`${name}:${(await file.stat()).size}:`);
    const bytes = new Uint8Array(2 ** 20);
    for (let count = await file.read(bytes); count !== null; count = await file.read(bytes)) {
      hash.update(bytes.subarray(0, count));
    }
  }
  return hash.digest("hex");
}
