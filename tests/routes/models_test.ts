import { assertEquals } from "@std/assert";
import { ANYONE } from "../../routes/tenant.ts";
import { openEdge, strictly } from "./edge_fixture.ts";

const base = {
  id: "demo",
  object: "model",
  created: 1_700_000_000,
  owned_by: "chorus",
  root: "demo",
  parent: null,
};
const reverse = { ...base, id: "reverse", created: 1_700_000_001, parent: "demo" };

strictly("the list holds the base model and its adapters, which name their parent", async () => {
  const response = await openEdge().app.request("/v1/models");
  assertEquals(response.status, 200);
  const data = [base, reverse, { ...reverse, id: "upper" }];
  assertEquals(await response.json(), { object: "list", data });
});

strictly("one model is found by its name, another is a 404", async () => {
  const { app } = openEdge();
  assertEquals(await (await app.request("/v1/models/reverse")).json(), reverse);
  const response = await app.request("/v1/models/nope");
  assertEquals(response.status, 404);
  assertEquals((await response.json()).error.code, "model_not_found");
});

strictly("a name with a slash is found when it is encoded", async () => {
  const models = {
    base: "org/demo",
    resolve: () => null,
    describe: (id: string) => ({ id, parent: null, created: 1 }),
    list: () => [],
  };
  const response = await openEdge(undefined, { models }).app.request("/v1/models/org%2Fdemo");
  assertEquals((await response.json()).id, "org/demo");
});

strictly(
  "one model is found without a look at thousands of others, and one of another tenant's is not",
  async () => {
    const models = {
      base: "demo",
      resolve: () => null,
      describe: (id: string) =>
        id === "mine" || id === "theirs" ? { id, parent: "demo", created: 1 } : null,
      list: () => {
        throw new Error("Cannot list models: there are too many");
      },
    };
    const tenant = { ...ANYONE, name: "acme", adapters: ["mine", "none"] };
    const { app } = openEdge(undefined, { models, tenants: { find: () => tenant } });
    const get = async (model: string) => {
      const headers = { authorization: "Bearer acme" };
      const response = await app.request(`/v1/models/${model}`, { headers });
      return [response.status, (await response.text()).replaceAll(model, "it")];
    };
    assertEquals((await get("mine"))[0], 200);
    assertEquals(await get("theirs"), await get("none"));
    assertEquals((await get("theirs"))[0], 404);
  },
);
