import { createHash } from "node:crypto";
import { assert, assertEquals, assertMatch } from "@std/assert";
import OpenAI, { RateLimitError } from "openai";
import { duration, RateLimits } from "../../routes/rate_limits.ts";
import { ANYONE, type TenantLimits } from "../../routes/tenant.ts";
import { saying, ScriptedRouter } from "../support/scripted_router.ts";
import { openEdge, post, serving, strictly } from "./edge_fixture.ts";

const NONE: TenantLimits = ANYONE.limits;

/** An edge whose two tenants a and b have the same limits, and its clock in milliseconds. */
function limited(limits: Partial<TenantLimits>, router?: ScriptedRouter) {
  const clock = { now: 0 };
  const all = new Map(["a", "b"].map((name) => [
    createHash("sha256").update(name).digest("hex"),
    { ...ANYONE, name, limits: { ...NONE, ...limits } },
  ]));
  const edge = openEdge(router, {
    tenants: { find: (key) => all.get(key) ?? null },
    limits: new RateLimits(() => clock.now),
  });
  const ask = async (who: string, body: object = {}) => {
    const headers = { authorization: `Bearer ${who}` };
    const init = post({ model: "reverse", prompt: "x", ...body }, { headers });
    const response = await edge.app.request("/v1/completions", init);
    return { response, body: await response.json() };
  };
  return { edge, clock, ask };
}

strictly(
  "requests over a tenant's rate are a 429 that says when to come again, and then pass",
  async () => {
    const { ask, clock } = limited({ requestsPerMinute: 2 });
    for (const left of ["1", "0"]) {
      const { response } = await ask("a");
      assertEquals(response.status, 200);
      assertEquals(response.headers.get("x-ratelimit-limit-requests"), "2");
      assertEquals(response.headers.get("x-ratelimit-remaining-requests"), left);
    }
    const { response, body } = await ask("a");
    assertEquals(response.status, 429);
    assertEquals(response.headers.get("retry-after"), "30");
    assertEquals(response.headers.get("x-ratelimit-reset-requests"), "1m0s");
    assertEquals(body.error.type, "requests");
    assertEquals(body.error.code, "rate_limit_exceeded");
    assertMatch(body.error.message, /2 requests a minute.*in 30s/);
    assertEquals((await ask("b")).response.status, 200);
    clock.now = 30_000;
    assertEquals((await ask("a")).response.status, 200);
    assertEquals((await ask("a")).response.status, 429);
  },
);

strictly("tokens of prompt and output count, a prompt once for all its choices", async () => {
  const { ask, clock } = limited({ tokensPerMinute: 6 });
  const { response } = await ask("a", { n: 2 });
  assertEquals(response.headers.get("x-ratelimit-remaining-tokens"), "6");
  const refused = await ask("a"); // 3 of the prompt and 2 x 2 of output: 1 in debt
  assertEquals(refused.response.status, 429);
  assertEquals(refused.body.error.type, "tokens");
  assertEquals(refused.response.headers.get("retry-after"), "20");
  clock.now = 20_000;
  assertEquals((await ask("a")).response.status, 200);
});

Deno.test("who leaves before the start, which early abort tells late, is charged about what the prompt may have cost", () => {
  const limits = new RateLimits(() => 0);
  const tenant = { ...ANYONE, name: "a", limits: { ...NONE, tokensPerMinute: 100 } };
  const left = (lease: { readonly headers: Readonly<Record<string, string>> }) =>
    Number(lease.headers["x-ratelimit-remaining-tokens"]);
  const text = { kind: "text", text: "x".repeat(80) } as const;
  const first = limits.admit(tenant, [text, { kind: "tokens", tokens: [1, 2, 3] }], 2);
  for (const index of [0, 1, 2, 3]) first.choice(index).see({ kind: "cancelled" });
  assertEquals(left(limits.admit(tenant, [], 1)), 100 - 20 - 3);
  // Where it had started its tokens were counted then.
  const choice = limits.admit(tenant, [text], 1).choice(0);
  choice.see({ kind: "started", promptTokens: [1, 2, 3, 4, 5] });
  choice.see({ kind: "cancelled" });
  assertEquals(left(limits.admit(tenant, [], 1)), 77 - 5);
});

strictly("a probe of unknown models is limited like everything else", async () => {
  const { ask } = limited({ requestsPerMinute: 1 });
  assertEquals((await ask("a", { model: "nope" })).response.status, 404);
  assertEquals((await ask("a", { model: "nope" })).response.status, 429);
});

strictly("a place that was taken comes back, however the request ends", async () => {
  const router: ScriptedRouter = new ScriptedRouter(async function* (request) {
    yield* saying([]).take(1);
    if (request.prompt.kind === "text" && request.prompt.text === "x") {
      return yield* saying([]).drop(1);
    }
    await router.untilCancelled(2);
    yield { kind: "cancelled" };
  });
  const { edge, ask } = limited({ concurrentRequests: 2 }, router);
  const left = new AbortController();
  const held = edge.app.request("/v1/completions", {
    ...post({ model: "demo", prompt: "hold", n: 2, stream: true }, {
      headers: { authorization: "Bearer a" },
    }),
    signal: left.signal,
  });
  assertEquals((await held).status, 200);
  assertEquals((await ask("a")).response.status, 429);
  assertEquals((await ask("b")).response.status, 200);
  await (await held).body?.cancel();
  assertEquals((await ask("a")).response.status, 200);
  assertEquals((await ask("a", { n: 2 })).response.status, 200);
  router.refuseFrom = router.submitted.length;
  assertEquals((await ask("a")).response.status, 429);
  router.refuseFrom = Infinity;
  assertEquals((await ask("a", { n: 2 })).response.status, 200);
});

strictly("a request refused for want of room costs no tokens", async () => {
  const { ask, edge: { router } } = limited({ tokensPerMinute: 1000 });
  router.refuseFrom = 1;
  const refused = await ask("a", { n: 2, prompt: "x".repeat(1200) });
  assertEquals(refused.response.status, 429);
  assertEquals(refused.body.error.code, "overloaded");
  router.refuseFrom = Infinity;
  const { response } = await ask("a");
  assertEquals(response.headers.get("x-ratelimit-remaining-tokens"), "1000");
});

strictly("more choices than may ever run is the client's fault, not a matter of time", async () => {
  const { response, body } = await limited({ concurrentRequests: 2 }).ask("a", { n: 3 });
  assertEquals([response.status, body.error.param], [400, "n"]);
});

strictly("OpenAI's client sees a RateLimitError with its headers", async () => {
  const { edge } = limited({ requestsPerMinute: 1 });
  await serving(edge, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "a", maxRetries: 0 });
    const create = () => client.completions.create({ model: "reverse", prompt: "x" });
    await create();
    const error = await create().then(() => null, (error: unknown) => error);
    assert(error instanceof RateLimitError);
    assertEquals(error.code, "rate_limit_exceeded");
    assertEquals(error.headers.get("retry-after"), "60");
  });
});

Deno.test("durations are written as OpenAI writes them", () => {
  assertEquals([0, 12, 1500, 60_000, 360_000].map(duration), [
    "0ms",
    "12ms",
    "1.5s",
    "1m0s",
    "6m0s",
  ]);
});
