import { assertEquals, assertThrows } from "@std/assert";
import { adapterId, epoch } from "../../../memory/ids.ts";
import { AdapterRegistry } from "../../../actors/request_router/registry.ts";

const entry = (name: string, id = name) => ({
  name,
  id: adapterId(id),
  path: `/adapters/${name}`,
  parent: "base",
});

Deno.test("AdapterRegistry keeps every adapter's state by name", () => {
  const registry = new AdapterRegistry();
  registry.add(entry("upper"));
  registry.add(entry("broken"));
  registry.note({
    kind: "adapter_registered",
    epoch: epoch(1),
    adapter: adapterId("upper"),
    rank: 8,
    bytes: 4096,
  });
  registry.note({
    kind: "adapter_rejected",
    epoch: epoch(1),
    adapter: adapterId("broken"),
    error: "no rank",
  });
  assertEquals(registry.get("upper")?.state, { kind: "registered", rank: 8, bytes: 4096 });
  assertEquals(registry.get("broken")?.state, { kind: "rejected", error: "no rank" });
  assertEquals(registry.get("nobody"), null);
  assertEquals(registry.list().map(({ name }) => name), ["upper", "broken"]);
});

Deno.test("AdapterRegistry tells the engine once of files that have two names", () => {
  const registry = new AdapterRegistry();
  const command = { kind: "register", adapter: adapterId("x"), path: "/adapters/one" } as const;
  assertEquals(registry.add(entry("one", "x")), command);
  assertEquals(registry.add(entry("two", "x")), null);
  assertEquals(registry.commands(), [command]);
  assertEquals(registry.commands(1), []);
});

Deno.test("AdapterRegistry refuses a name twice", () => {
  const registry = new AdapterRegistry();
  registry.add(entry("one"));
  assertThrows(() => registry.add(entry("one", "y")), RangeError, "which is /adapters/one");
});

Deno.test("a later engine is told what an earlier one found in an adapter's files", () => {
  const registry = new AdapterRegistry();
  const id = adapterId("digest");
  registry.add({ name: "a", id, path: "/a", parent: "base" });
  const register = { kind: "register", adapter: id, path: "/a" } as const;
  assertEquals(registry.commands(), [register]);
  const ranks = { moduleRanks: [8, 0, 0, 0, 0, 0, 0], headRanks: [0, 0] };
  const shape = { rank: 8, bytes: 4096, layerPages: 1, headPages: 0, ...ranks };
  registry.note({
    kind: "adapter_registered",
    epoch: epoch(1),
    adapter: id,
    rank: 8,
    bytes: 4096,
    shape,
  });
  assertEquals(registry.commands(), [{ ...register, known: shape }]);
});
