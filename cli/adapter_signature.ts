import { adapterDigest } from "../models/adapter_digest.ts";
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "../models/adapter_files.ts";
import { LARGEST_HEADER, SafetensorsFile } from "../models/safetensors.ts";

/** What is asked of an adapter's files: any of it may take for ever. */
export interface AdapterLook {
  signature(path: string): Promise<string | null>;
  digest(path: string): Promise<string>;
  isWhole(path: string): Promise<boolean>;
}

/** Size and time of an adapter's files; null where one is missing, or no file. */
async function adapterSignature(path: string): Promise<string | null> {
  try {
    const stats = await Promise.all(
      [ADAPTER_CONFIG, ADAPTER_WEIGHTS].map((name) => Deno.stat(`${path}/${name}`)),
    );
    // A pipe would hold up whoever opens it.
    if (!stats.every(({ isFile }) => isFile)) return null;
    return stats.map(({ size, mtime, ino }) => `${size} ${mtime?.getTime()} ${ino}`).join(", ");
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory) {
      return null;
    }
    throw error;
  }
}

/** The configuration is JSON, and the weights are as long as their header says. */
async function isWhole(path: string): Promise<boolean> {
  try {
    JSON.parse(await Deno.readTextFile(`${path}/${ADAPTER_CONFIG}`));
    // Never blocking: this thread has all the streams.
    using file = await Deno.open(`${path}/${ADAPTER_WEIGHTS}`);
    const prefix = await begin(file, 8);
    const length = new DataView(prefix.buffer).getBigUint64(0, true);
    const { size } = await file.stat();
    if (length > LARGEST_HEADER || BigInt(size) < 8n + length) return false;
    await file.seek(0, Deno.SeekMode.Start);
    SafetensorsFile.of(path, await begin(file, 8 + Number(length)), size);
    return true;
  } catch {
    return false;
  }
}

/** The next `count` bytes, as far as there are so many. */
async function begin(file: Deno.FsFile, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const more = await file.read(bytes.subarray(at));
    if (more === null) break;
    at += more;
  }
  return bytes;
}

export const ADAPTER_LOOK: AdapterLook = {
  signature: adapterSignature,
  digest: adapterDigest,
  isWhole,
};
