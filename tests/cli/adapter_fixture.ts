import { fileURLToPath } from "node:url";
import type { AdapterCommand } from "../../actors/engine_protocol.ts";
import { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { AdapterDesk } from "../../cli/adapter_desk.ts";
import { epoch as epochOf } from "../../memory/ids.ts";

export const demoAdapters = fileURLToPath(new URL("../../models/demo/adapters", import.meta.url));

/**
 * A desk whose registry talks to an engine that takes every adapter but those whose directory's name contains `bad`,
 * and cannot read `faint` ones at first.
 */
export function deskOf(...roots: string[]) {
  const registry = new AdapterRegistry();
  const told: AdapterCommand[] = [];
  const epoch = epochOf(1);
  registry.follow((command) => {
    told.push(command);
    if (command.kind !== "register") return;
    const { adapter, path } = command;
    // Not the whole path: random names of temporary directories are hexadecimal.
    const name = path.slice(path.lastIndexOf("/"));
    const slow = name.includes("faint") &&
      told.filter((other) => other.kind === "register" && other.path === path).length < 3;
    queueMicrotask(() =>
      registry.note(
        slow
          ? { kind: "adapter_rejected", epoch, adapter, error: "Too slow", passing: true }
          : name.includes("bad")
          ? { kind: "adapter_rejected", epoch, adapter, error: "Cannot load adapter: NaN" }
          : { kind: "adapter_registered", epoch, adapter, rank: 8, bytes: 1024 },
      )
    );
  });
  const desk = new AdapterDesk({
    registry,
    parent: "demo",
    roots,
    places: () => Promise.resolve({ host: registry.list().map(({ id }) => id), gpu: [] }),
  });
  return { registry, told, desk };
}

/** Copies a demo adapter's files. */
export async function copyAdapter(name: string, to: string): Promise<void> {
  await Deno.mkdir(to, { recursive: true });
  for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
    await Deno.copyFile(`${demoAdapters}/${name}/${file}`, `${to}/${file}`);
  }
}

/** A directory that is removed in the end. */
export async function tempDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "chorus-test-" }));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}
