import { assertEquals } from "@std/assert";
import { POLICY_DEFAULTS, type PolicyName } from "../../../actors/policy_options.ts";
import { sequenceOf, using } from "./sequences.ts";
import { assertFinished, SimulatedEngine } from "./simulated_engine.ts";

/** `first` runs with the one page of the head pool, and `second` has waited for it for longer than its bound. */
function fullHeadPool(names: readonly PolicyName[]) {
  const engine = new SimulatedEngine({
    maxRunning: 8,
    maxBatchTokens: 64,
    maxLogitRows: 16,
    layerPages: 400,
    headPages: 1,
    pagesPerBlock: 1,
    adapters: {
      x: { layers: 1, head: 1 },
      y: { layers: 1, head: 1 },
      plain: { layers: 1, head: 0 },
    },
    policy: { ...POLICY_DEFAULTS, names, agingMs: 50 },
  });
  for (const adapter of ["x", "y"]) engine.register(adapter);
  engine.settle();
  const first = sequenceOf("first", 10, { ...using("x"), maxTokens: 400 });
  const second = sequenceOf("second", 10, using("y"));
  engine.submit(first);
  for (let i = 0; i < 60; i++) engine.deliver(() => 0);
  engine.submit(second);
  for (let i = 0; i < 200; i++) engine.deliver(() => 0);
  return { engine, first, second };
}

for (const name of ["fcfs", "vtc", "cluster", "priority"] as const) {
  Deno.test(`whoever needs nothing of the head pool passes one that waits for it (${name})`, () => {
    const { engine, first, second } = fullHeadPool([name]);
    // Not even in host memory yet.
    engine.register("plain");
    const base = sequenceOf("base", 10);
    const plain = sequenceOf("plain", 10, using("plain"));
    for (const sequence of [base, plain]) engine.submit(sequence);
    // Each mailbox has its turns, the loader's too.
    let turn = 0;
    engine.settle(() => turn++ % 8 / 8);
    assertFinished(engine, first, second, base, plain);
    assertEquals(new Set(engine.ended.slice(0, 2)), new Set([base.id, plain.id]));
    assertEquals(engine.ended.slice(2), [first.id, second.id]);
  });
}

Deno.test("nobody keeps the head pool from one that has waited for it too long", () => {
  const { engine, first, second } = fullHeadPool(["fcfs"]);
  // Their adapter is there: each that ran would hold it there for longer.
  const late = Array.from({ length: 4 }, (_, i) => sequenceOf(`late${i}`, 10, using("x")));
  for (const sequence of late) engine.submit(sequence);
  engine.settle();
  assertFinished(engine, first, second, ...late);
  assertEquals(engine.ended.slice(0, 2), [first.id, second.id]);
});

Deno.test("one that waits for the head pool takes no place from a sequence without credit that uses nothing there", () => {
  const { engine, second } = fullHeadPool(["fcfs"]);
  const holder = sequenceOf("holder", 10, { maxTokens: 50, credit: 2 });
  engine.submit(holder);
  for (let i = 0; i < 400; i++) engine.deliver(() => 0);
  assertEquals(engine.seen.get(second.id)?.tokens, []);
  assertEquals(engine.scheduler.load.preemptions, 0);
  assertEquals(engine.scheduler.load.running, 2);
});
