import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { AdapterLoader } from "../../../actors/loader/adapter_loader.ts";
import { adapterId } from "../../../memory/ids.ts";
import { adapterDigest } from "../../../models/adapter_digest.ts";
import { readAdapterFiles } from "../../../models/adapter_files.ts";
import { pageGeometry } from "../../../models/adapter_image.ts";
import { Checkpoint } from "../../../models/checkpoint.ts";
import { packAdapter } from "../../../models/pack_adapter.ts";
import { loadModelConfig } from "../../../models/parse_config.ts";
import { parsePeftAdapter } from "../../../models/peft_adapter.ts";
import { openAdapter } from "../../support/open_adapter.ts";

const DEMO = new URL("../../../models/demo/", import.meta.url).pathname;
const config = await loadModelConfig(`${DEMO}base`);
const geometry = pageGeometry(config.kvHeads, config.headDim);
const base = Checkpoint.open(`${DEMO}base`);

function loaderOf(timeoutMs: number, limit = 2 ** 30): AdapterLoader {
  return new AdapterLoader({
    timeoutMs,
    read: (directory) => readAdapterFiles(directory, limit),
    pack: (files) => {
      using adapter = parsePeftAdapter(files, config, base);
      return packAdapter(adapter, config, geometry);
    },
  });
}

const load = async (loader: AdapterLoader, path: string, id?: string) =>
  await loader.load({
    kind: "load",
    adapter: adapterId(id ?? await adapterDigest(path)),
    path,
  });

/** A copy of the demo's adapter in a directory of its own. */
async function copyOf(name: string): Promise<string> {
  const directory = await Deno.makeTempDir();
  for (const file of ["adapter_config.json", "adapter_model.safetensors"]) {
    await Deno.copyFile(`${DEMO}adapters/${name}/${file}`, `${directory}/${file}`);
  }
  return directory;
}

Deno.test("an adapter's image is the same whether its files are read before or while it is packed", async () => {
  const path = `${DEMO}adapters/sort`;
  const event = await load(loaderOf(60_000), path);
  using files = openAdapter(path, config, base);
  const image = packAdapter(files, config, geometry);
  assert(event.kind === "loaded");
  assertEquals(
    new Uint8Array(event.image.layers?.bytes ?? new SharedArrayBuffer(0)),
    new Uint8Array(image.layers?.bytes ?? new SharedArrayBuffer(0)),
  );
});

Deno.test("files that changed since they were registered are refused, and vanished ones named", async () => {
  const directory = await copyOf("upper");
  const loader = loaderOf(60_000);
  const digest = await adapterDigest(directory);
  assertEquals((await load(loader, directory, digest)).kind, "loaded");
  await Deno.copyFile(
    `${DEMO}adapters/reverse/adapter_model.safetensors`,
    `${directory}/adapter_model.safetensors`,
  );
  const changed = await load(loader, directory, digest);
  assert(changed.kind === "load_failed");
  assertStringIncludes(changed.error, `not those that were registered as ${digest}`);
  assertEquals(changed.passing, undefined);
  await Deno.remove(directory, { recursive: true });
  const gone = await load(loader, directory, digest);
  assert(gone.kind === "load_failed");
  assertStringIncludes(
    gone.error,
    `a PEFT directory has adapter_config.json, received ${directory}`,
  );
});

Deno.test("an adapter whose files hang fails in time, and the next one is read meanwhile (SGLang #8162)", async () => {
  const directory = await copyOf("upper");
  const weights = `${directory}/adapter_model.safetensors`;
  const digest = await adapterDigest(directory);
  await Deno.remove(weights);
  // Opening a pipe that nobody writes to is a read that hangs.
  await new Deno.Command("mkfifo", { args: [weights] }).output();
  const loader = loaderOf(50);
  const hanging = load(loader, directory, digest);
  const fine = load(loaderOf(60_000), `${DEMO}adapters/reverse`).then((event) => event.kind);
  assertEquals(await fine, "loaded");
  const late = await hanging;
  assert(late.kind === "load_failed");
  assertStringIncludes(late.error, "did not come within 0.05 s (adapter-load-timeout)");
  assertEquals(late.passing, true, "the next time they may come");

  // Asked for again it waits for the same read, which ends when someone opens the pipe.
  const again = load(loader, directory, digest);
  (await Deno.open(weights, { write: true })).close();
  assertEquals((await again).kind, "load_failed", "a pipe is not the file that was registered");
  await Deno.remove(directory, { recursive: true });
});

Deno.test("a file larger than host memory for adapters is refused before it is read", async () => {
  const event = await load(loaderOf(60_000, 1000), `${DEMO}adapters/sort`);
  assert(event.kind === "load_failed");
  assertStringIncludes(event.error, "larger than all adapters in host memory may be");
});

Deno.test("a directory with a pickle file instead of safetensors is refused by name (TensorRT-LLM #13391)", async () => {
  const directory = await copyOf("upper");
  await Deno.rename(`${directory}/adapter_model.safetensors`, `${directory}/adapter_model.bin`);
  const event = await load(loaderOf(60_000), directory, "some digest");
  assert(event.kind === "load_failed");
  assertStringIncludes(event.error, "a pickle file can run code");
  await Deno.remove(directory, { recursive: true });
});
