import { assert, assertEquals, assertThrows } from "@std/assert";
import { Channel } from "../../../actors/channel.ts";
import { RequestRouter } from "../../../actors/request_router/handle.ts";
import type { RouterMessage } from "../../../actors/request_router/ports.ts";
import { AdapterRegistry } from "../../../actors/request_router/registry.ts";
import { adapterId, epoch as epochOf } from "../../../memory/ids.ts";
import { fakeTokens } from "../../support/fake_engine.ts";
import {
  Bench,
  PROMPT,
  prompts,
  readAll,
  ready,
  request,
  settle,
  tokensOf,
  WINDOW,
} from "../../support/router_bench.ts";

Deno.test("RequestRouter says not_ready before the first engine and full when its ledger is", async () => {
  const bench = new Bench(prompts, 2);
  assertEquals(bench.router.submit([request()]), { kind: "not_ready" });
  await bench.start();
  const first = bench.submit();
  bench.submit();
  assertEquals(bench.router.submit([request()]), { kind: "full" });
  await readAll(bench, first);
  assertEquals(bench.router.submit([request(), request()]), { kind: "full" });
  assertEquals(bench.router.submit([request()]).kind, "accepted");
});

Deno.test("RequestRouter refuses an id that is running", async () => {
  const bench = new Bench();
  await bench.start();
  const one = request();
  bench.router.submit([one]);
  assertThrows(() => bench.router.submit([one]), RangeError, `received ${one.id}`);
});

Deno.test("RequestRouter holds a stream back that nobody reads, and no other", async () => {
  const bench = new Bench();
  await bench.start();
  const slow = bench.submit({ maxTokens: 100 });
  const fast = bench.submit({ maxTokens: 100 });
  const fastEvents = await readAll(bench, fast);
  assertEquals(tokensOf(fastEvents), fakeTokens(PROMPT, 100));
  const waiting = ready(slow);
  assertEquals(tokensOf(waiting).length, WINDOW);
  const rest = await readAll(bench, slow);
  assertEquals(tokensOf([...waiting, ...rest]), fakeTokens(PROMPT, 100));
});

Deno.test("RequestRouter fails everything, now and later, when no engine will come", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.lose();
  await bench.mailbox.send({ kind: "start_failed", epoch: epochOf(2), error: "out of memory" });
  await settle();
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "unavailable");
  assert(end.error.message.includes("out of memory"));
  assertEquals(bench.router.submit([request()]), { kind: "not_ready" });
  assertEquals(bench.router.engine.phase, "failed");
});

Deno.test("RequestRouter fails its streams when the router crashes; its successor starts clean", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(2);
  // A command of a kind that no version of this program knows.
  await bench.mailbox.send({ kind: "generate", requests: null } as unknown as RouterMessage);
  assertEquals((await bench.actor.stopped).kind, "crashed");
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "unavailable");
  bench.actor = bench.spawn();
  await settle();
  assertEquals(bench.router.submit([request()]), { kind: "not_ready" });
  await bench.start();
  assertEquals(tokensOf(await readAll(bench, bench.submit())), fakeTokens(PROMPT, 20));
});

Deno.test("RequestRouter.drain() admits nothing more and lets streams finish", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(2);
  const drained = bench.router.drain(10_000);
  assertEquals(bench.router.submit([request()]), { kind: "not_ready" });
  assertEquals((await readAll(bench, events)).at(-1)?.kind, "finished");
  await drained;
});

Deno.test("RequestRouter.drain() ends what has not finished by the deadline", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(2);
  await bench.router.drain(5);
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "unavailable");
  await settle();
  assertEquals([bench.router.size, bench.engine?.size], [0, 0]);
});

Deno.test("RequestRouter tells the registry whose requests use an adapter, from submission to end", () => {
  const registry = new AdapterRegistry();
  const id = adapterId("x");
  registry.add({ name: "a", id, path: "/a", parent: "base" });
  const mailbox = new Channel<RouterMessage>({ capacity: 8 });
  const router = new RequestRouter({ mailbox, capacity: 4, window: WINDOW, adapters: registry });
  router.status({ phase: "ready", limits: null, reason: null });
  const one = { ...request(), adapters: [{ adapter: id, weight: 1 }], tenant: "acme" };
  const counts = () => ["acme", "other"].map((tenant) => registry.list(tenant)[0]?.requests);
  const none = { running: 0, waiting: 0 };
  router.submit([one]);
  assertEquals(counts(), [{ running: 0, waiting: 1 }, none]);
  router.emit(one.id, { kind: "tokens", text: "a", tokens: [] });
  assertEquals(counts(), [{ running: 1, waiting: 0 }, none]);
  router.emit(one.id, { kind: "cancelled" });
  assertEquals(counts(), [none, none]);
});
