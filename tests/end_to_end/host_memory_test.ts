import { setTimeout as delay } from "node:timers/promises";
import { assert, assertEquals } from "@std/assert";
import { adapterName, writeRandomAdapters } from "../../bench/support/random_adapters.ts";
import { LAYER_MODULES } from "../../models/model_config.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { engineProcesses } from "../support/engine_processes.ts";
import { startServer } from "../support/server.ts";

const ROUNDS = 3;
/** 230 MB of images a round, some of which go to the GPU and through the executor. */
const NAMES = Array.from({ length: 200 }, (_, i) => adapterName(i));
const RANK = 32;
const PINNED = 20;
/** What was dropped is collected within a second or ten; a busy machine takes longer. */
const SETTLE_MS = 30_000;

Deno.test({
  name: "unloaded adapters' host memory is free for others: the engine does not grow",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using disk = new AsyncDisposableStack();
    const directory = await Deno.makeTempDir();
    disk.defer(() => Deno.remove(directory, { recursive: true }));
    const config = await loadModelConfig("models/demo/base");
    const plan = { count: NAMES.length, ranks: [RANK], modules: LAYER_MODULES };
    await writeRandomAdapters(directory, config, plan);
    await using server = await startServer({
      args: [
        ...["--admin-key", "key", "--adapter-roots", directory],
        // A collection for each 64 MiB.
        ...["--adapter-host-bytes", "1GiB"],
      ],
    });
    const post = async (path: string, body: object) => {
      const headers = { authorization: "Bearer key", "content-type": "application/json" };
      const init = { method: "POST", headers, body: JSON.stringify(body) };
      const response = await fetch(`${server.url}${path}`, init);
      const text = await response.text();
      assertEquals(response.status, 200, text);
    };
    const [engine] = await engineProcesses(server.child.pid);
    const resident = async () => {
      const status = await Deno.readTextFile(`/proc/${engine}/status`);
      return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024);
    };
    /** Mebibytes; the allocator may keep what is free. */
    const after: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      await Promise.all(NAMES.map(async (lora_name, i) => {
        await post("/v1/load_lora_adapter", { lora_name, lora_path: lora_name });
        if (i % (NAMES.length / PINNED) === 0) await post(`/v1/adapters/${lora_name}/pin`, {});
      }));
      await Promise.all(NAMES.map((lora_name) => post("/v1/unload_lora_adapter", { lora_name })));
      after.push(await resident());
    }
    const [first = 0] = after;
    // The first round's own images may be among it, and no more than the last round's may be left of the others.
    const deadline = performance.now() + SETTLE_MS;
    let last = Infinity;
    while (last > 1.2 * first && performance.now() < deadline) {
      await delay(250);
      last = await resident();
    }
    assert(last <= 1.2 * first, `${last} MiB in the end, after each round ${after.join(", ")}`);
  },
});
