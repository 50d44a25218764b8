import { createHash } from "node:crypto";
import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { ANYONE, matches, type Tenant } from "../../routes/tenant.ts";
import { openEdge, post, strictly } from "./edge_fixture.ts";

const digest = (key: string) => createHash("sha256").update(key).digest("hex");
const tenant = (name: string, rest: Partial<Tenant>): Tenant => ({ ...ANYONE, name, ...rest });
const KEYS = new Map([
  [digest("key-of-a"), tenant("a", { adapters: ["rev*"] })],
  [digest("key-of-b"), tenant("b", { adapters: ["upper"], base: false })],
]);
const open = () => openEdge(undefined, { tenants: { find: (key) => KEYS.get(key) ?? null } });
const as = (name: string) => ({ headers: { authorization: `Bearer key-of-${name}` } });
const ROUTES: readonly (readonly [string, (model: string) => [string, RequestInit]])[] = [
  ["completions", (model) => ["/v1/completions", post({ model, prompt: "x" })]],
  ["a stream", (model) => ["/v1/completions", post({ model, prompt: "x", stream: true })]],
  [
    "chat",
    (model) => [
      "/v1/chat/completions",
      post({ model, messages: [{ role: "user", content: "x" }] }),
    ],
  ],
  ["one model", (model) => [`/v1/models/${model}`, {}]],
];

/** Status, headers and body of an answer, with the model's name taken out. */
async function answerTo(
  { app }: ReturnType<typeof open>,
  who: string,
  model: string,
  ask: (model: string) => [string, RequestInit],
) {
  const [path, init] = ask(model);
  const headers = { ...init.headers, ...as(who).headers };
  const response = await app.request(path, { ...init, headers });
  const body = (await response.text()).replaceAll(model, "NAME");
  return { status: response.status, headers: [...response.headers], body };
}

for (const [what, ask] of ROUTES) {
  strictly(
    `${what}: another tenant's adapter answers byte for byte as an unknown one, also while its owner uses it ` +
      "(LoRAX #479, LoRAX #798)",
    async () => {
      const edge = open();
      assertEquals((await answerTo(edge, "b", "upper", ask)).status, 200);
      const submitted = edge.router.submitted.length;
      const unknown = await answerTo(edge, "a", "nope1", ask);
      assertEquals(unknown.status, 404);
      assertEquals(await answerTo(edge, "a", "upper", ask), unknown);
      assertEquals(edge.router.submitted.length, submitted);
    },
  );
}

strictly(
  "a tenant asks for the classes from its own on, from 0 where it has none, and nobody before others",
  async () => {
    const keys = new Map([
      [digest("key-of-a"), tenant("a", { priority: -5 })],
      [digest("key-of-b"), tenant("b", {})],
    ]);
    const find = (key: string) => keys.get(key) ?? null;
    const { app } = openEdge(undefined, { priorities: true, tenants: { find } });
    const statusOf = async (who: string, priority: number) => {
      const body = { model: "demo", prompt: "x", priority };
      const response = await app.request("/v1/completions", post(body, as(who)));
      const { error } = await response.json();
      return error ? [response.status, error.param, error.message] : response.status;
    };
    assertEquals([await statusOf("a", -5), await statusOf("b", 0), await statusOf("b", 7)], [
      200,
      200,
      200,
    ]);
    const refusal = (least: number, received: number) =>
      `Invalid 'priority': expected at least ${least} with this key, received ${received}.`;
    assertEquals(await statusOf("a", -6), [400, "priority", refusal(-5, -6)]);
    assertEquals(await statusOf("b", -1), [400, "priority", refusal(0, -1)]);
  },
);

strictly("the list holds what the key may use, and the base model only where it may", async () => {
  const { app } = open();
  const listed = async (who: string) => {
    const { data } = await (await app.request("/v1/models", as(who))).json();
    return data.map(({ id }: { id: string }) => id);
  };
  assertEquals(await listed("a"), ["demo", "reverse"]);
  assertEquals(await listed("b"), ["upper"]);
  const base = await app.request("/v1/models/demo", as("b"));
  assertEquals(base.status, 404);
  await base.body?.cancel();
});

strictly("with tenants a key that is nobody's is refused, and no key too", async () => {
  const { app } = open();
  for (const init of [{}, as("c")]) {
    const response = await app.request("/v1/models", init);
    assertEquals(response.status, 401);
    await response.body?.cancel();
  }
});

strictly("a request carries its tenant to the router", async () => {
  const edge = open();
  const [, chat] = ROUTES[2] ?? [];
  if (chat) await answerTo(edge, "a", "reverse", chat);
  assertEquals(edge.router.submitted.map((request) => request.tenant), ["a"]);
});

Deno.test("a pattern means the same as the regular expression that it abbreviates", () => {
  const word = fc.string({ unit: fc.constantFrom("a", "b", ".", "*"), maxLength: 8 });
  fc.assert(
    fc.property(word, word, (pattern, name) => {
      const escaped = pattern.split("*").map((part) => part.replaceAll(".", "\\."));
      assertEquals(matches(pattern, name), new RegExp(`^${escaped.join("[^]*")}$`).test(name));
    }),
    { numRuns: 3000 },
  );
});
