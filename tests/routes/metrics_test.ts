import { createHash } from "node:crypto";
import { assert, assertEquals, assertMatch } from "@std/assert";
import { UNKNOWN_MEMORY } from "../../actors/batch_former/unknown_memory.ts";
import { adapterId } from "../../memory/ids.ts";
import type { AdapterAdmin } from "../../routes/adapter_admin.ts";
import { createAdminApp } from "../../routes/admin_app.ts";
import { Metrics } from "../../routes/metrics_registry.ts";
import { ANYONE } from "../../routes/tenant.ts";
import { saying, ScriptedRouter } from "../support/scripted_router.ts";
import { type Edge, openEdge, post, serving, strictly } from "./edge_fixture.ts";

/** Every sample of a scrape by its name and labels, as written. */
async function scrape({ app }: Edge): Promise<Map<string, number>> {
  const response = await app.request("/metrics");
  assertMatch(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  const lines = (await response.text()).split("\n").filter((line) => /^[a-z]/.test(line));
  return new Map(lines.map((line) => {
    const space = line.lastIndexOf(" ");
    return [line.slice(0, space), Number(line.slice(space))];
  }));
}
const chat = (rest: object = {}) =>
  post({ model: "reverse", messages: [{ role: "user", content: "x" }], ...rest });

strictly(
  "requests count by route pattern, method and status, never by what the client wrote",
  async () => {
    const edge = openEdge();
    const requests: [string, RequestInit][] = [
      ["/v1/chat/completions", chat()],
      ["/v1/chat/completions", chat({ n: 0 })],
      ["/v1/models/reverse", {}],
      ["/v1/models/upper", {}],
      ["/v1/nothing/at/all", {}],
      ["/health", { method: "BREW" }],
    ];
    for (const [path, init] of requests) await (await edge.app.request(path, init)).text();
    const samples = [...await scrape(edge)].filter(([name]) => name.startsWith("chorus_http"));
    const http = (route: string, method: string, status: number) =>
      `chorus_http_requests_total{route="${route}",method="${method}",status="${status}"}`;
    assertEquals(samples, [
      [http("/v1/chat/completions", "POST", 200), 1],
      [http("/v1/chat/completions", "POST", 400), 1],
      [http("/v1/models/:model", "GET", 200), 2],
      [http("unknown", "GET", 404), 1],
      [http("/health", "other", 405), 1],
    ]);
  },
);

strictly("tokens, their times and how sequences ended are counted", async () => {
  const edge = openEdge();
  await (await edge.app.request("/v1/chat/completions", chat({ n: 2 }))).text();
  const failing = new ScriptedRouter(() => [
    { kind: "failed", error: { kind: "internal", message: "broke", param: null } },
  ]);
  const broken = openEdge(failing, { metrics: edge.metrics });
  await (await broken.app.request("/v1/chat/completions", chat({ stream: true }))).text();
  const samples = await scrape(edge);
  assertEquals(samples.get("chorus_prompt_tokens_total"), 6);
  assertEquals(samples.get("chorus_completion_tokens_total"), 4);
  assertEquals(samples.get('chorus_time_to_first_token_seconds_count{model="adapter"}'), 2);
  assertEquals(samples.get('chorus_inter_token_seconds_count{model="adapter"}'), 2);
  assertEquals(samples.get('chorus_sequences_ended_total{reason="stop"}'), 2);
  assertEquals(samples.get('chorus_sequences_ended_total{reason="failed"}'), 1);
  assertEquals(samples.get("chorus_sequences_open"), 0);
  assert(![...samples.keys()].some((name) => name.includes("reverse")));
});

strictly("a client that leaves is counted as cancelled, and its answer as 499", async () => {
  const router: ScriptedRouter = new ScriptedRouter(async function* () {
    yield* saying([]).take(1);
    await router.untilCancelled(1);
  });
  const edge = openEdge(router);
  await serving(edge, async (url) => {
    const client = new AbortController();
    const { signal } = client;
    const asking = fetch(url + "/v1/chat/completions", { ...chat(), signal }).catch(() => null);
    while (router.submitted.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    client.abort();
    await Promise.all([asking, router.untilCancelled(1)]);
  });
  const samples = await scrape(edge);
  assertEquals(samples.get('chorus_sequences_ended_total{reason="cancelled"}'), 1);
  assertEquals(samples.get("chorus_sequences_open"), 0);
  const name =
    'chorus_http_requests_total{route="/v1/chat/completions",method="POST",status="499"}';
  assertEquals(samples.get(name), 1);
});

strictly("the engine's load shows as gauges; its counters survive its restart", async () => {
  let ready = false;
  const metrics = new Metrics(() => ready);
  const edge = openEdge(undefined, { metrics });
  const load = {
    running: 3,
    waiting: 2,
    pages: 100,
    freePages: 25,
    kvPages: 60,
    cachedPages: 5,
    adapterPages: 15,
    residentAdapters: [adapterId("a"), adapterId("b")],
    arrivingAdapters: 0,
    residency: UNKNOWN_MEMORY.residency,
    preemptions: 4,
    sheds: 2,
    steps: 1000,
    prefixQueries: 100,
    prefixHits: 60,
  };
  metrics.load(load);
  metrics.load({ ...load, preemptions: 5, steps: 1100 });
  metrics.load({ ...load, preemptions: 0, sheds: 0, steps: 10, prefixQueries: 30, prefixHits: 1 });
  ready = true;
  const samples = await scrape(edge);
  const seen = Object.fromEntries(
    [...samples].filter(([name]) =>
      /^chorus_(sequences|aborts|pages|page|adapters_resident|pree|steps|ready|prefix)|^vllm:prefix/
        .test(
          name,
        )
    ),
  );
  assertEquals(seen, {
    chorus_sequences_open: 0,
    chorus_sequences_running: 3,
    chorus_sequences_waiting: 2,
    chorus_pages: 100,
    chorus_pages_free: 25,
    chorus_pages_kv: 60,
    chorus_pages_cached: 5,
    chorus_pages_adapter: 15,
    chorus_adapters_resident: 2,
    chorus_page_use_ratio: 0.7,
    chorus_preemptions_total: 5,
    chorus_aborts_total: 2,
    chorus_prefix_query_tokens_total: 130,
    chorus_prefix_hit_tokens_total: 61,
    "vllm:prefix_cache_queries_total": 130,
    "vllm:prefix_cache_hits_total": 61,
    chorus_steps_total: 1110,
    chorus_ready: 1,
  });
});

Deno.test("where there are tenants, metrics name everybody's adapters to nobody without a key to all of them", async () => {
  const find = (sent: string) => sent === digest("acme") ? { ...ANYONE, name: "acme" } : null;
  const keys = { apiKeys: ["scraper"], adminKey: "admin" };
  const { app, metrics } = openEdge(undefined, { ...keys, tenants: { find } });
  const statusFor = async (key: string | null) => {
    const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` };
    return (await app.request("/metrics", { headers })).status;
  };
  assertEquals([await statusFor(null), await statusFor("acme"), await statusFor("")], [
    401,
    401,
    401,
  ]);
  assertEquals([await statusFor("scraper"), await statusFor("admin")], [200, 200]);
  const { app: open } = openEdge(undefined, keys);
  assertEquals((await open.request("/metrics")).status, 200, "gateways send no key");
  const { app: closed } = openEdge(undefined, { tenants: { find } });
  assertEquals(
    (await closed.request("/metrics", { headers: { authorization: "Bearer " } })).status,
    401,
  );
  const listener = createAdminApp({
    adapters: NO_ADAPTERS,
    metrics,
    adminKey: null,
    maxBodyBytes: 10,
  });
  assertEquals((await listener.request("/metrics")).status, 200);
  const guarded = createAdminApp({
    adapters: NO_ADAPTERS,
    metrics,
    adminKey: "admin",
    maxBodyBytes: 10,
  });
  assertEquals((await guarded.request("/metrics")).status, 401);
});

const digest = (text: string) => createHash("sha256").update(text).digest("hex");
const NO_ADAPTERS: AdapterAdmin = {
  load: () => Promise.resolve(null),
  unload: () => Promise.resolve(false),
  has: () => false,
  pin: () => Promise.resolve(null),
  unpin: () => {},
  list: () => Promise.resolve([]),
};
