import { assert, assertEquals } from "@std/assert";
import { POLICY_DEFAULTS } from "../../../actors/policy_options.ts";
import { sequenceOf, using } from "./sequences.ts";
import { assertFinished, type EngineShape, SimulatedEngine } from "./simulated_engine.ts";

const engineOf = (more: Partial<EngineShape> = {}) =>
  new SimulatedEngine({
    maxRunning: 4,
    maxBatchTokens: 32,
    maxLogitRows: 16,
    layerPages: 40,
    headPages: 0,
    pagesPerBlock: 1,
    adapters: {},
    ...more,
  });

Deno.test("a sequence without credit keeps its pages and goes on where it was", () => {
  const engine = engineOf();
  const a = sequenceOf("a", 5, { maxTokens: 9, credit: 4 });
  engine.submit(a);
  engine.settle();
  assertEquals(engine.seen.get(a.id)?.tokens.length, 4);
  assertEquals(engine.scheduler.load.running, 1);
  engine.extendCredit(a.id, 100);
  engine.settle();
  assertFinished(engine, a);
  assertEquals(engine.scheduler.load.preemptions, 0);
});

Deno.test("a sequence without credit makes way for one that needs its pages, and comes back", () => {
  const engine = engineOf({ layerPages: 4 });
  const a = sequenceOf("a", 30, { maxTokens: 9, credit: 4 });
  const b = sequenceOf("b", 40, { maxTokens: 9 });
  engine.submit(a);
  engine.settle();
  engine.submit(b);
  engine.settle();
  assertFinished(engine, b);
  assertEquals(engine.scheduler.load.preemptions, 1);
  engine.extendCredit(a.id, 100);
  engine.settle();
  assertFinished(engine, a);
});

Deno.test("as many sequences without credit make way as it takes", () => {
  const engine = engineOf({ layerPages: 6 });
  const slow = ["a", "b", "c"].map((id) => sequenceOf(id, 17, { credit: 2 }));
  for (const sequence of slow) engine.submit(sequence);
  engine.settle();
  const d = sequenceOf("d", 80);
  engine.submit(d);
  engine.settle();
  assertFinished(engine, d);
  assertEquals(engine.scheduler.load.preemptions, 3);
});

Deno.test("sequences without credit make way where they hold every slot", () => {
  const engine = engineOf({ maxRunning: 2 });
  const slow = ["a", "b"].map((id) => sequenceOf(id, 5, { credit: 2 }));
  for (const sequence of slow) engine.submit(sequence);
  engine.settle();
  const c = sequenceOf("c", 5);
  engine.submit(c);
  engine.settle();
  assertFinished(engine, c);
  for (const { id } of slow) engine.extendCredit(id, 100);
  engine.settle();
  assertFinished(engine, ...slow);
});

Deno.test("a sequence without credit makes way in the end where others keep the engine busy", () => {
  const engine = engineOf({ maxRunning: 2, layerPages: 60 });
  const slow = sequenceOf("slow", 5, { credit: 2 });
  engine.submit(slow);
  engine.settle();
  const [busy, waits] = [sequenceOf("busy", 5, { maxTokens: 300 }), sequenceOf("waits", 5)];
  engine.submit(busy);
  engine.submit(waits);
  while (engine.seen.get(waits.id)?.ends.length === 0) engine.deliver(() => 0);
  assertEquals(engine.seen.get(busy.id)?.ends, []);
  engine.extendCredit(slow.id, 100);
  engine.settle();
  assertFinished(engine, slow, busy, waits);
});

Deno.test("a request that does not fit lets smaller ones pass, but not for ever", () => {
  const policy = { ...POLICY_DEFAULTS, agingMs: 100 };
  const engine = engineOf({ layerPages: 8, policy });
  const first = sequenceOf("first", 60, { maxTokens: 60 });
  const big = sequenceOf("big", 90, { maxTokens: 4 });
  engine.submit(first);
  while (engine.steps.length < 3) engine.deliver(() => 0);
  engine.submit(big);
  const small = Array.from({ length: 80 }, (_, i) => sequenceOf(`s${i}`, 3, { maxTokens: 2 }));
  for (const sequence of small) engine.submit(sequence);
  engine.settle();
  const order = [...engine.ended];
  assert(
    order.indexOf(small[0]?.id ?? big.id) < order.indexOf(big.id),
    "the first small one passes",
  );
  assert(order.indexOf(big.id) < order.indexOf(small[79]?.id ?? big.id), "the last one does not");
  assertFinished(engine, first, big, ...small);
});

Deno.test("when KV runs out the cheapest sequence is computed again later, with the same tokens", () => {
  const engine = engineOf({ layerPages: 6 });
  const [a, b] = [sequenceOf("a", 30, { maxTokens: 40 }), sequenceOf("b", 20, { maxTokens: 40 })];
  engine.submit(a);
  engine.submit(b);
  engine.settle();
  assert(engine.scheduler.load.preemptions >= 1);
  assertEquals(engine.ended[0], a.id);
  assertFinished(engine, a, b);
});

Deno.test("nobody passes a sequence that was preempted", () => {
  const engine = engineOf({ layerPages: 6 });
  const [a, b] = [sequenceOf("a", 30, { maxTokens: 40 }), sequenceOf("b", 20, { maxTokens: 40 })];
  engine.submit(a);
  engine.submit(b);
  while (engine.scheduler.load.preemptions === 0) engine.deliver(() => 0);
  const small = Array.from({ length: 5 }, (_, i) => sequenceOf(`s${i}`, 3, { maxTokens: 2 }));
  for (const sequence of small) engine.submit(sequence);
  engine.settle();
  assertEquals(engine.ended[0], a.id);
  assertFinished(engine, a, b, ...small);
});

Deno.test("a newcomer waits where running sequences would soon be short of pages because of it", () => {
  const engine = engineOf({ layerPages: 4 });
  const [a, b] = [sequenceOf("a", 10, { maxTokens: 40 }), sequenceOf("b", 40)];
  engine.submit(a);
  while (engine.steps.length < 2) engine.deliver(() => 0);
  engine.submit(b); // 3 pages, and a has 1 of 4
  engine.settle();
  assertFinished(engine, a, b);
  assertEquals([engine.ended, engine.scheduler.load.preemptions], [[a.id, b.id], 0]);
});

Deno.test("a request that outgrows even the empty pool fails with the numbers, and others go on", () => {
  const engine = engineOf({ layerPages: 4 });
  const [a, b] = [sequenceOf("a", 60, { maxTokens: 20 }), sequenceOf("b", 10)];
  engine.submit(a);
  engine.submit(b);
  engine.settle();
  assertEquals(engine.seen.get(a.id)?.tokens.length, 5);
  assertEquals(engine.seen.get(a.id)?.ends, [{
    kind: "failed",
    error: "Cannot hold 65 tokens: the pool has 4 pages in all, received a need of 5",
  }]);
  assertFinished(engine, b);
});

Deno.test("a long prompt in pieces beside more adapters than fit, some of whose requests are cancelled, ends right like the others (SGLang #25865)", () => {
  const names = Array.from({ length: 8 }, (_, i) => `a${i}`);
  for (const policy of ["fcfs", "vtc", "cluster"] as const) {
    const engine = engineOf({
      // The long one, its adapter and two others, of eight.
      layerPages: 13 + 3 * 6,
      adapters: Object.fromEntries(names.map((name) => [name, { layers: 6, head: 0 }])),
      policy: { ...POLICY_DEFAULTS, names: [policy], clusterAdapters: 2 },
    });
    for (const name of names) engine.register(name);
    engine.settle();
    const long = sequenceOf("long", 170, using("a0"));
    engine.submit(long);
    for (let i = 0; i < 20; i++) engine.deliver(() => 0);
    const others = names.slice(1).flatMap((name) =>
      [0, 1].map((i) => ({
        sequence: sequenceOf(`${name}-${i}`, 20 + i, using(name)),
        cancelled: i === 1 && name !== "a1",
      }))
    );
    let turn = 0;
    for (const { sequence } of others) {
      engine.submit(sequence);
      for (let i = 0; i < 5; i++) engine.deliver(() => turn++ % 8 / 8);
    }
    for (const { sequence, cancelled } of others) {
      if (cancelled) engine.cancel(sequence.id);
      for (let i = 0; i < 5; i++) engine.deliver(() => turn++ % 8 / 8);
    }
    engine.settle();
    assertFinished(engine, long);
    const { kvPages, running, waiting } = engine.scheduler.load;
    assertEquals({ kvPages, running, waiting }, { kvPages: 0, running: 0, waiting: 0 });
    for (const { sequence, cancelled } of others) {
      if (!cancelled) assertFinished(engine, sequence);
    }
    const unfinished = others.filter(({ sequence }) =>
      engine.seen.get(sequence.id)?.ends.length === 0
    );
    assert(unfinished.length > 3, "they were cancelled in time");
    assert(engine.uploads.length >= names.length, engine.uploads.join());
  }
});
