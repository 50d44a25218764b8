import { adapterId } from "../memory/ids.ts";
import { adapterDigest } from "../models/adapter_digest.ts";
import type { AdapterEntry } from "../actors/request_router/registry.ts";

/** What a directory of adapters holds: what can be registered, and what cannot even be looked at. */
export interface AdapterListing {
  readonly entries: readonly AdapterEntry[];
  readonly problems: readonly string[];
}

/**
 * Every sub-directory with an adapter_config.json is an adapter named after it.
 * @throws {TypeError} where `directory` is no directory.
 */
export async function listAdapters(directory: string, parent: string): Promise<AdapterListing> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(directory)) {
      if (entry.isDirectory || entry.isSymlink) names.push(entry.name);
    }
  } catch (error) {
    throw new TypeError(
      `Cannot read adapters: ${(error as Error).message}, received ${JSON.stringify(directory)}`,
    );
  }
  const entries: AdapterEntry[] = [];
  const problems: string[] = [];
  for (const name of names.sort()) {
    const path = `${directory}/${name}`;
    if (name === parent) {
      problems.push(`Cannot register adapter: its name is the base model's, received ${path}`);
      continue;
    }
    try {
      entries.push({ name, id: adapterId(await adapterDigest(path)), path, parent });
    } catch (error) {
      problems.push(`Cannot register adapter: ${(error as Error).message}, received ${path}`);
    }
  }
  return { entries, problems };
}
