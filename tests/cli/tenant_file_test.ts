import { createHash } from "node:crypto";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { configure, reset } from "@logtape/logtape";
import { ConfigError } from "../../cli/config.ts";
import { parseTenants, TenantFile } from "../../cli/tenant_file.ts";

const [A, B] = ["a".repeat(64), "b".repeat(64)];
const written = (name: string, rest: object = {}) => ({
  [name]: { keys: [`sha256:${A}`], ...rest },
});
const text = (tenants: object) => JSON.stringify({ tenants });

Deno.test("parseTenants() gives a tenant without a word of models the base model alone, and no limits", () => {
  assertEquals(parseTenants(text(written("acme"))).get(A), {
    name: "acme",
    base: true,
    adapters: [],
    limits: { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: null },
  });
});

Deno.test("parseTenants() reads a tenant's weight and its first class", () => {
  const tenant = parseTenants(text(written("acme", { weight: 2.5, priority: -5 }))).get(A);
  assertEquals([tenant?.weight, tenant?.priority], [2.5, -5]);
});

Deno.test("parseTenants() says what is wrong and where", () => {
  const cases: [string, string][] = [
    ["{", "JSON"],
    ["{}", "tenants: "],
    [text(written("a", { adapter: ["x"] })), 'tenants.a: Unrecognized key: "adapter"'],
    [text({ a: { keys: ["secret"] } }), "tenants.a.keys.0: expected sha256:"],
    [text({ a: { keys: [] } }), "tenants.a.keys: "],
    [text(written("a", { weight: 0 })), "tenants.a.weight: expected a number above 0"],
    [text(written("a", { limits: { tokens_per_minute: 0 } })), "limits.tokens_per_minute"],
    [
      text({ ...written("one"), ...written("two") }),
      "tenants.two.keys: a key of one is here again",
    ],
  ];
  for (const [broken, message] of cases) {
    assertThrows(() => parseTenants(broken), SyntaxError, message);
  }
});

Deno.test("a tenant file is read again; a broken or missing one is told of once, and changes nothing", async () => {
  const told: unknown[] = [];
  await configure({
    sinks: { seen: (record) => void told.push(record.properties.why) },
    loggers: [{ category: "chorus", sinks: ["seen"] }, {
      category: ["logtape", "meta"],
      sinks: [],
    }],
  });
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, text(written("old")));
    const file = await TenantFile.open(path);
    const names = () => [file.find(A)?.name, file.find(B)?.name];
    await Deno.writeTextFile(path, text({ new: { keys: [`sha256:${B}`] } }));
    await file.refresh();
    assertEquals([names(), told.length], [[undefined, "new"], 0]);
    await Deno.writeTextFile(path, "{");
    await file.refresh();
    await file.refresh();
    assertEquals([names(), told.length], [[undefined, "new"], 1]);
    await Deno.remove(path);
    await file.refresh();
    assertEquals([names(), told.length], [[undefined, "new"], 2]);
    await Deno.writeTextFile(path, text(written("old")));
    await file.refresh();
    assertEquals([names(), told.length], [["old", undefined], 2]);
  } finally {
    await Deno.remove(path);
    await reset();
  }
});

Deno.test("a tenant file that cannot be used at the start is refused", async () => {
  await assertRejects(() => TenantFile.open("/nowhere/tenants"), ConfigError, "/nowhere/tenants");
});

Deno.test("README's example of a tenant file is one, and its key is the one that it names", async () => {
  const readme = await Deno.readTextFile(new URL("../../README.md", import.meta.url));
  const [, example = ""] = /```json\n(\{\n {2}"tenants".*?)```/s.exec(readme) ?? [];
  const digest = createHash("sha256").update("acme-example-key").digest("hex");
  assertEquals(parseTenants(example).get(digest)?.adapters, ["rev*", "upper"]);
});
