import { assertEquals } from "@std/assert";
import { openEdge, post, strictly } from "./edge_fixture.ts";

const ask = { model: "demo", prompt: "x" };
const bearer = (token: string) => ({ headers: { authorization: token } });

strictly("with keys every /v1 route needs one of them, as a bearer token", async () => {
  const { app, router } = openEdge(undefined, { apiKeys: ["first-key", "second-key"] });
  const wrong = [
    "",
    "first-key",
    "Bearer",
    "Bearer first-ke",
    "Bearer first-keyy",
    "Basic first-key",
  ];
  for (const path of ["/v1/models", "/v1/models/demo", "/v1/completions", "/v1/nothing"]) {
    const init = path === "/v1/completions" ? post(ask) : {};
    for (const token of [null, ...wrong]) {
      const headers = { ...init.headers, ...(token !== null && bearer(token).headers) };
      const response = await app.request(path, { ...init, headers });
      assertEquals(response.status, 401, `${path} with ${token}`);
      assertEquals(response.headers.get("www-authenticate"), "Bearer");
      assertEquals((await response.json()).error.code, "invalid_api_key");
    }
  }
  assertEquals(router.submitted, []);
  for (const token of ["Bearer first-key", "bearer second-key"]) {
    assertEquals((await app.request("/v1/models", bearer(token))).status, 200);
    assertEquals((await app.request("/v1/completions", post(ask, bearer(token)))).status, 200);
  }
});

strictly("health, metrics and docs stay open", async () => {
  const { app } = openEdge(undefined, { apiKeys: ["key"] });
  for (const path of ["/health", "/metrics", "/openapi.json", "/docs"]) {
    const response = await app.request(path);
    assertEquals(response.status, 200, path);
    await response.text();
  }
});

strictly("without keys everything is open", async () => {
  const { app } = openEdge();
  assertEquals((await app.request("/v1/models", bearer("Bearer anything"))).status, 200);
});
