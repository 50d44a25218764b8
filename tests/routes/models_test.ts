import { assertEquals } from "@std/assert";
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
    list: () => [{ id: "org/demo", parent: null, created: 1 }],
  };
  const response = await openEdge(undefined, { models }).app.request("/v1/models/org%2Fdemo");
  assertEquals((await response.json()).id, "org/demo");
});
