import { assertEquals } from "@std/assert";
import { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { modelCatalogue } from "../../cli/model_catalogue.ts";
import { adapterId, epoch as epochOf } from "../../memory/ids.ts";

const epoch = epochOf(1);

function registryOf(...names: string[]) {
  const registry = new AdapterRegistry();
  const ids = names.map((name, at) => {
    const id = adapterId(String(at).repeat(64));
    registry.add({ name, id, path: `/adapters/${name}`, parent: "base" });
    return id;
  });
  return { registry, ids };
}

Deno.test("modelCatalogue() resolves the base and those adapters that the engine has taken", () => {
  const { registry, ids: [taken = adapterId(""), refused = adapterId("")] } = registryOf(
    "taken",
    "refused",
    "waiting",
  );
  const catalogue = modelCatalogue("base", registry);
  assertEquals(catalogue.resolve("taken"), null);
  registry.note({ kind: "adapter_registered", epoch, adapter: taken, rank: 4, bytes: 1024 });
  registry.note({ kind: "adapter_rejected", epoch, adapter: refused, error: "NaN" });
  assertEquals(catalogue.resolve("base"), { kind: "base" });
  assertEquals(catalogue.resolve("taken"), {
    kind: "adapter",
    routes: [{ adapter: taken, weight: 1 }],
  });
  for (const name of ["refused", "waiting", "unknown", ""]) {
    assertEquals(catalogue.resolve(name), null, name);
  }
  const listed = catalogue.list().map(({ id, parent }) => ({ id, parent }));
  assertEquals(listed, [{ id: "base", parent: null }, { id: "taken", parent: "base" }]);
  assertEquals(["base", "taken"].map((name) => catalogue.describe(name)), [...catalogue.list()]);
  assertEquals(["refused", "waiting", ""].map((name) => catalogue.describe(name)), [
    null,
    null,
    null,
  ]);
});
