import { assertEquals } from "@std/assert";
import type { EngineStatus } from "../../actors/request_router/ports.ts";
import { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { readiness } from "../../cli/readiness.ts";
import { adapterId, epoch as epochOf } from "../../memory/ids.ts";

Deno.test("readiness() follows the engine, waits once for the first adapters, and ends with the drain", () => {
  const router = { engine: { phase: "starting", limits: null, reason: null } } as {
    engine: EngineStatus;
  };
  const registry = new AdapterRegistry();
  const add = (name: string) => {
    const id = adapterId(name);
    registry.add({ name, id, path: name, parent: "base" });
    return id;
  };
  const first = add("first");
  let draining = false;
  const status = readiness(router, registry, () => draining);
  const phase = (phase: EngineStatus["phase"], reason: string | null = null) => {
    router.engine = { ...router.engine, phase, reason };
  };

  assertEquals(status(), { ready: false, reason: "the engine is starting" });
  phase("ready");
  assertEquals(status(), { ready: false, reason: "adapters are loading" });
  registry.note({ kind: "adapter_rejected", epoch: epochOf(1), adapter: first, error: "NaN" });
  assertEquals(status().ready, true);
  add("later");
  assertEquals(status().ready, true);
  phase("failed", "out of memory");
  assertEquals(status(), { ready: false, reason: "out of memory" });
  phase("ready");
  draining = true;
  assertEquals(status(), { ready: false, reason: "the server is shutting down" });
});
