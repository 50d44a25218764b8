import type { AdapterRegistry } from "../actors/request_router/registry.ts";
import type { ModelCatalogue } from "../routes/model_catalogue.ts";

/** The base model and the adapters that the engine has taken, by the names clients use. */
export function modelCatalogue(base: string, registry: AdapterRegistry): ModelCatalogue {
  const created = Math.floor(Date.now() / 1000);
  return {
    base,
    resolve: (name) => {
      if (name === base) return { kind: "base" };
      const entry = registry.get(name);
      if (entry?.state.kind !== "registered") return null;
      return { kind: "adapter", routes: [{ adapter: entry.id, weight: 1 }] };
    },
    describe: (name) => {
      if (name === base) return { id: base, parent: null, created };
      const entry = registry.get(name);
      if (entry?.state.kind !== "registered") return null;
      return { id: name, parent: entry.parent, created };
    },
    list: () => [
      { id: base, parent: null, created },
      ...registry.list().filter(({ state }) => state.kind === "registered")
        .map(({ name, parent }) => ({ id: name, parent, created })),
    ],
  };
}
