import { assertEquals } from "@std/assert";
import { openEdge, strictly } from "./edge_fixture.ts";

strictly("health is 200 only while requests are taken, else 503 with the reason", async () => {
  let status = { ready: false, reason: "the model is loading" };
  const { app } = openEdge(undefined, { status: () => status });
  const before = await app.request("/health");
  assertEquals(before.status, 503);
  assertEquals(await before.json(), { status: "not_ready", reason: "the model is loading" });
  assertEquals(before.headers.get("retry-after"), "2");
  status = { ready: true, reason: "" };
  const after = await app.request("/health");
  assertEquals(after.status, 200);
  assertEquals(await after.json(), { status: "ok" });
});
