import { assertEquals } from "@std/assert";
import type { EngineEvent, EngineLoad } from "../../actors/request_router/protocol.ts";
import { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { observeEngine } from "../../cli/engine_observer.ts";
import { adapterId, epoch as epochOf } from "../../memory/ids.ts";

const epoch = epochOf(1);
const id = adapterId("a".repeat(64));

/** What the operator saw of the events, progress in brackets. */
function observe(...events: EngineEvent[]): string[] {
  const seen: string[] = [];
  const registry = new AdapterRegistry();
  registry.add({ name: "reverse", id, path: "/adapters/reverse", parent: "base" });
  const observer = observeEngine({
    registry,
    metrics: {
      load: (load) => seen.push(`load ${load.steps}`),
      lost: () => seen.push("load 0"),
      limits: ({ poolTokens }) => seen.push(`pool of ${poolTokens}`),
    },
    progress: {
      update: (label, done, total, unit) => seen.push(`[${label} ${done}/${total} ${unit}]`),
      stop: () => {},
    },
    print: (line) => seen.push(line),
  });
  for (const event of events) {
    if (event.kind === "adapter_registered" || event.kind === "adapter_rejected") {
      registry.note(event);
    }
    observer(event);
  }
  return seen;
}

const ready = (software: boolean): EngineEvent => ({
  kind: "engine_ready",
  epoch,
  limits: {
    maxModelLen: 512,
    poolTokens: 64,
    pagesPerBlock: 1,
    device: "A card",
    software,
    provider: "builtin",
  },
});

Deno.test("observeEngine() warns loudly of a software adapter, and of nothing on a GPU", () => {
  const line = "Ready on A card (builtin), sequences of up to 512 tokens, a pool of 64 tokens.";
  assertEquals(observe(ready(false)), ["pool of 64", line]);
  assertEquals(observe(ready(true)), [
    "pool of 64",
    "WARNING: no GPU, running on the CPU through A card: correct, but very slow.",
    line,
  ]);
});

Deno.test("observeEngine() tells a lost engine, but not the end of one that cannot start", () => {
  const lost: EngineEvent = { kind: "engine_lost", epoch, reason: "it was ended by SIGKILL" };
  const hopeless: EngineEvent = { kind: "start_failed", epoch, error: "Cannot size the pool" };
  assertEquals(observe(lost), ["load 0", "The engine is lost: it was ended by SIGKILL"]);
  assertEquals(observe(hopeless, lost), ["The engine cannot run: Cannot size the pool", "load 0"]);
});

Deno.test("observeEngine() names a rejected adapter by its name, and counts it as done", () => {
  const error = "Cannot load adapter: NaN";
  assertEquals(observe({ kind: "adapter_rejected", epoch, adapter: id, error }), [
    "reverse: Cannot load adapter: NaN",
    "[adapters 1/1 adapters]",
  ]);
  assertEquals(observe({ kind: "adapter_registered", epoch, adapter: id, rank: 8, bytes: 9 }), [
    "[adapters 1/1 adapters]",
  ]);
});

Deno.test("observeEngine() says nothing of what an engine that comes after another one registers again", () => {
  const registered: EngineEvent = {
    ...{ kind: "adapter_registered", epoch, adapter: id },
    ...{ rank: 8, bytes: 9 },
  };
  assertEquals(observe(registered, registered), ["[adapters 1/1 adapters]"]);
});

Deno.test("observeEngine() passes progress to the bars and load to the metrics", () => {
  const load = { steps: 7 } as EngineLoad;
  assertEquals(
    observe(
      { kind: "progress", epoch, label: "weights", done: 1, total: 2, unit: "bytes" },
      { kind: "load_changed", epoch, load },
      { kind: "pong", epoch, sequence: 1 },
    ),
    ["[weights 1/2 bytes]", "load 7"],
  );
});
