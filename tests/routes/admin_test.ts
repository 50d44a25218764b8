import { assert, assertEquals } from "@std/assert";
import type { AdapterAdmin, DescribedAdapter } from "../../routes/adapter_admin.ts";
import { createAdminApp } from "../../routes/admin_app.ts";
import { createHash } from "node:crypto";
import { ANYONE } from "../../routes/tenant.ts";
import { openEdge, post } from "./edge_fixture.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("hex");

/** Adapters that are only names. */
class Names implements AdapterAdmin {
  readonly names = new Map<string, string>();
  readonly pinned = new Set<string>();

  load(name: string, path: string, inPlace: boolean) {
    if (path.includes("bad")) return refused("invalid", "Cannot load adapter: NaN");
    if (path.includes("none")) return refused("not_found", `No adapter found for ${path}`);
    if (this.names.has(name) && !inPlace) return refused("exists", "has already been loaded");
    this.names.set(name, path);
    return Promise.resolve(null);
  }
  unload = (name: string) => Promise.resolve(this.names.delete(name));
  has = (name: string) => this.names.has(name);
  pin(name: string) {
    if (name === "huge") return Promise.resolve("Cannot hold adapter huge");
    this.pinned.add(name);
    return Promise.resolve(null);
  }
  unpin = (name: string) => void this.pinned.delete(name);
  list = () => Promise.resolve([...this.names].map(([name, path]) => described(name, path)));
}

const refused = (kind: "invalid" | "not_found" | "exists", why: string) =>
  Promise.resolve({ kind, why });
const described = (name: string, path: string): DescribedAdapter => ({
  name,
  path,
  readFrom: path,
  parent: "demo",
  revision: "0".repeat(64),
  state: "registered",
  error: null,
  rank: 8,
  bytes: 1024,
  requests: { running: 0, waiting: 0 },
});

const BEARER = { authorization: "Bearer secret" };
const LOAD = "/v1/load_lora_adapter";
const UNLOAD = "/v1/unload_lora_adapter";

function adminEdge() {
  const adapters = new Names();
  const { app } = openEdge(undefined, { adapters, adminKey: "secret", apiKeys: ["client"] });
  const send = (url: string, body: unknown = {}, headers: Record<string, string> = BEARER) =>
    app.request(url, post(body, { headers }));
  return { adapters, app, send };
}

Deno.test("load and unload answer as vLLM does", async () => {
  const { send, adapters } = adminEdge();
  const loaded = await send(LOAD, { lora_name: "a", lora_path: "/a" });
  assertEquals(
    [loaded.status, await loaded.text()],
    [200, "Success: LoRA adapter 'a' added successfully."],
  );
  const statuses: [object, number][] = [
    [{ lora_name: "a", lora_path: "/b" }, 400],
    [{ lora_name: "a", lora_path: "/b", load_inplace: true }, 200],
    [{ lora_name: "c", lora_path: "/bad" }, 400],
    [{ lora_name: "c", lora_path: "/none" }, 404],
    [{ lora_name: "c" }, 400],
    [{ lora_path: "/a" }, 400],
  ];
  for (const [body, status] of statuses) {
    const response = await send(LOAD, body);
    assertEquals(response.status, status, await response.text());
  }
  assertEquals(adapters.names.get("a"), "/b");
  const unloaded = await send(UNLOAD, { lora_name: "a" });
  assertEquals(
    [unloaded.status, await unloaded.text()],
    [200, "Success: LoRA adapter 'a' removed successfully."],
  );
  const again = await send(UNLOAD, { lora_name: "a" });
  const { error } = await again.json();
  assertEquals([again.status, error.param], [404, "lora_name"]);
  assertEquals(error.message, "The lora adapter 'a' cannot be found.");
});

Deno.test("pin and unpin are by name, and say why not", async () => {
  const { send, adapters } = adminEdge();
  adapters.names.set("a", "/a").set("huge", "/huge").set("org/a", "/org");
  assertEquals((await send("/v1/adapters/a/pin")).status, 200);
  assertEquals((await send("/v1/adapters/org%2Fa/pin")).status, 200);
  assertEquals([...adapters.pinned], ["a", "org/a"]);
  assertEquals((await send("/v1/adapters/a/unpin")).status, 200);
  assertEquals([...adapters.pinned], ["org/a"]);
  const huge = await send("/v1/adapters/huge/pin");
  assertEquals([huge.status, (await huge.json()).error.message], [400, "Cannot hold adapter huge"]);
  assertEquals((await send("/v1/adapters/nobody/pin")).status, 404);
});

Deno.test("nobody without the admin key changes adapters: no client, no tenant, no stranger (SGLang #26789)", async () => {
  const { send, adapters } = adminEdge();
  adapters.names.set("a", "/a");
  const client = { authorization: "Bearer client" };
  for (const headers of [{} as Record<string, string>, client, { authorization: "Bearer " }]) {
    for (const url of [LOAD, UNLOAD, "/v1/adapters/a/pin", "/v1/adapters/a/unpin"]) {
      const response = await send(url, { lora_name: "a", lora_path: "/b" }, headers);
      assertEquals(response.status, 401, url);
    }
  }
  assertEquals([adapters.names.get("a"), adapters.pinned.size], ["/a", 0]);
});

Deno.test("the admin key lists all adapters beside clients' keys and tenants, and opens nothing else of theirs", async () => {
  const few = { ...ANYONE, name: "few", adapters: ["b"] };
  const tenants = { find: (sent: string) => sent === digest("tenant") ? few : null };
  for (const more of [{ apiKeys: ["client"] }, { tenants }, { apiKeys: ["client"], tenants }, {}]) {
    const adapters = new Names();
    adapters.names.set("a", "/a").set("b", "/b");
    const { app } = openEdge(undefined, { adapters, adminKey: "secret", ...more });
    const listed = await app.request("/v1/adapters", { headers: BEARER });
    assertEquals(listed.status, 200);
    assertEquals((await listed.json()).data.map(({ id }: { id: string }) => id), ["a", "b"]);
    const open = Object.keys(more).length === 0;
    assertEquals((await app.request("/v1/models", { headers: BEARER })).status, open ? 200 : 401);
    const wrong = { authorization: "Bearer wrong" };
    const refused = await app.request("/v1/adapters", { headers: wrong });
    assertEquals(refused.status, open ? 200 : 401);
  }
});

Deno.test("without an admin key there is nothing to change adapters with", async () => {
  const { app } = openEdge(undefined, { adapters: new Names() });
  for (const url of [LOAD, UNLOAD, "/v1/adapters/a/pin"]) {
    const response = await app.request(url, post({ lora_name: "a", lora_path: "/b" }));
    assertEquals(response.status, 404);
  }
});

Deno.test("an admin's own listener needs the key where there is one", async () => {
  const adapters = new Names();
  const { metrics } = openEdge();
  const body = post({ lora_name: "a", lora_path: "/a" });
  for (const [adminKey, status] of [[null, 200], ["secret", 401]] as const) {
    const app = createAdminApp({ adapters, metrics, adminKey, maxBodyBytes: 1000 });
    assertEquals((await app.request(LOAD, body)).status, status);
    // The list has everybody's adapters.
    assertEquals((await app.request("/v1/adapters")).status, status);
    const headers = BEARER;
    const listed = await (await app.request("/v1/adapters", { headers })).json();
    assertEquals(listed.data.length, 1);
    assertEquals((await app.request("/v1/models")).status, 404);
  }
});

Deno.test("a page that an admin looks at cannot change adapters where the listener asks for no key", async () => {
  const adapters = new Names();
  const { metrics } = openEdge();
  const app = createAdminApp({ adapters, metrics, adminKey: null, maxBodyBytes: 1000 });
  const load = post({ lora_name: "a", lora_path: "/a" });
  const from = (origin: string) => ({ ...load, headers: { ...load.headers, origin } });
  for (const origin of ["https://elsewhere.example", "null"]) {
    const refused = await app.request(LOAD, from(origin));
    assertEquals([refused.status, adapters.names.size], [403, 0]);
    const { error } = await refused.json();
    assertEquals([error.code, error.message.includes(origin)], ["cross_origin", true]);
  }
  // A page may make its own name lead here.
  const rebound = new URL(LOAD, "http://elsewhere.example:8001");
  assertEquals((await app.request(rebound, from(rebound.origin))).status, 403);
  for (const own of ["http://localhost", "http://127.0.0.1:8001", "http://[::1]:8001"]) {
    adapters.names.clear();
    assertEquals((await app.request(new URL(LOAD, own), from(own))).status, 200, own);
  }
});

Deno.test("GET /v1/adapters tells a tenant of what it may use, and of nobody's paths", async () => {
  const adapters = new Names();
  adapters.names.set("acme-1", "/a").set("other", "/b");
  const tenant = { ...ANYONE, name: "acme", adapters: ["acme-*"] };
  const find = (sent: string) => sent === digest("acme") ? tenant : null;
  const { app } = openEdge(undefined, { adapters, tenants: { find } });
  const response = await app.request("/v1/adapters", {
    headers: { authorization: "Bearer acme" },
  });
  const { data } = await response.json();
  const { name: id, path: _, readFrom: __, ...rest } = described("acme-1", "/a");
  assertEquals(data, [{ id, object: "adapter", ...rest }]);
});

Deno.test("GET /v1/adapters tells a tenant of its own requests, and who has a plain key of everybody's", async () => {
  const adapters = new Names();
  const asked: (string | undefined)[] = [];
  const list = (tenant?: string) => {
    asked.push(tenant);
    return Promise.resolve([]);
  };
  const find = (sent: string) => sent === digest("acme") ? { ...ANYONE, name: "acme" } : null;
  const { app } = openEdge(undefined, {
    adapters: Object.assign(adapters, { list }),
    apiKeys: ["plain"],
    tenants: { find },
  });
  for (const key of ["acme", "plain"]) {
    await app.request("/v1/adapters", { headers: { authorization: `Bearer ${key}` } });
  }
  assertEquals(asked, ["acme", undefined]);
});

Deno.test("GET /v1/adapters says why an adapter was rejected, and nothing of directories: equal files may be another's", async () => {
  const adapters = new Names();
  const error = "Cannot load adapter: NaN in q_proj, received /srv/adapters/secret-customer";
  const readFrom = "/srv/adapters/secret-customer";
  const { app } = openEdge(undefined, {
    adapters: Object.assign(adapters, {
      list: () => Promise.resolve([{ ...described("a", "/srv/adapters/a"), error, readFrom }]),
    }),
  });
  const { data } = await (await app.request("/v1/adapters")).json();
  assertEquals(data[0].error, "Cannot load adapter: NaN in q_proj, received its directory");
  assert(!JSON.stringify(data).includes("secret-customer"));
});
