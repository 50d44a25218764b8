import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "../models/adapter_files.ts";
import { SafetensorsFile } from "../models/safetensors.ts";

/** Size and time of an adapter's files; null where one is missing, or no file. */
export async function adapterSignature(path: string): Promise<string | null> {
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
export async function isWhole(path: string): Promise<boolean> {
  try {
    JSON.parse(await Deno.readTextFile(`${path}/${ADAPTER_CONFIG}`));
    SafetensorsFile.open(`${path}/${ADAPTER_WEIGHTS}`)[Symbol.dispose]();
    return true;
  } catch {
    return false;
  }
}
