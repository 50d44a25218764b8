import { assert, assertEquals } from "@std/assert";
import type { Sequence } from "../../../actors/batch_former/protocol.ts";
import { requestId } from "../../../memory/ids.ts";
import { BLOCK, runAlone } from "../../support/simulated_executor.ts";
import { sequenceOf, using } from "./sequences.ts";
import { assertFinished, type EngineShape, SimulatedEngine } from "./simulated_engine.ts";

const shape: EngineShape = {
  maxRunning: 4,
  maxBatchTokens: 64,
  maxLogitRows: 64,
  layerPages: 40,
  headPages: 0,
  pagesPerBlock: 2,
  adapters: { "upper@1": { layers: 2, head: 0 }, "upper@2": { layers: 2, head: 0 } },
};

function engineOf(more: Partial<EngineShape> = {}): SimulatedEngine {
  const engine = new SimulatedEngine({ ...shape, ...more });
  for (const name of Object.keys(shape.adapters)) engine.register(name);
  engine.settle();
  return engine;
}

/** Runs them one after another; returns how many prompt tokens each found computed. */
function cachedOf(engine: SimulatedEngine, ...sequences: Sequence[]): (number | undefined)[] {
  return sequences.map((sequence) => {
    engine.submit(sequence);
    engine.settle();
    assertFinished(engine, sequence);
    return engine.seen.get(sequence.id)?.cached;
  });
}

const computed = (engine: SimulatedEngine) =>
  engine.steps.flatMap(({ rows }) => rows.map((row) => row.tokens?.length ?? 1))
    .reduce((sum, count) => sum + count, 0);

Deno.test("a prompt seen before is computed from its last full block on, and at least its last token", () => {
  const engine = engineOf();
  const cached = cachedOf(
    engine,
    sequenceOf("a", 40, { maxTokens: 1 }),
    sequenceOf("b", 40, { maxTokens: 1 }),
    sequenceOf("c", 33, { maxTokens: 1 }),
    sequenceOf("d", 32, { maxTokens: 1 }),
    sequenceOf("e", 16, { maxTokens: 1 }),
  );
  assertEquals(cached, [0, 32, 32, 16, 0]);
  assertEquals(computed(engine), 40 + 8 + 1 + 16 + 16);
  const { prefixQueries, prefixHits } = engine.scheduler.load;
  assertEquals([prefixQueries, prefixHits], [161, 80]);
});

Deno.test("a prompt shares a running sequence's blocks, whose pages count once", () => {
  const engine = engineOf();
  const [a, b] = [sequenceOf("a", 40, { credit: 2 }), sequenceOf("b", 40, { credit: 2 })];
  engine.submit(a);
  engine.settle();
  engine.submit(b);
  engine.settle();
  assertEquals(engine.seen.get(b.id)?.cached, 32);
  const { running, kvPages, cachedPages } = engine.scheduler.load;
  assertEquals({ running, kvPages, cachedPages }, { running: 2, kvPages: 8, cachedPages: 0 });
  for (const { id } of [a, b]) engine.extendCredit(id, 100);
  engine.settle();
  assertFinished(engine, a, b);
});

Deno.test("the next turn of a chat finds what was generated in the last one", () => {
  const engine = engineOf();
  const first = sequenceOf("a", 20, { maxTokens: 30 });
  const { tokens } = runAlone(first);
  const next = { ...first, id: requestId("b"), prompt: [...first.prompt, ...tokens, 1, 2, 3] };
  // 20 + 30 tokens, of which the last was never read back.
  assertEquals(cachedOf(engine, first, next), [0, 48]);
});

Deno.test("a preempted sequence finds its own blocks again, but for those that others needed", () => {
  const repeated = [true, false].map((prefixCache) => {
    // Room for five blocks; both sequences grow to four: the younger must go and come back.
    const engine = engineOf({ layerPages: 10, prefixCache });
    const a = sequenceOf("a", 16, { maxTokens: 40 });
    const b = { ...a, id: requestId("b"), prompt: a.prompt.map((token) => token + 1) };
    engine.submit(a);
    engine.submit(b);
    engine.settle();
    assertFinished(engine, a, b);
    assert(engine.scheduler.load.preemptions > 0);
    return computed(engine) - 2 * (16 + 39);
  });
  const [cached = NaN, uncached = NaN] = repeated;
  assert(cached <= BLOCK && uncached >= 2 * BLOCK, `${repeated} tokens were computed twice`);
});

Deno.test("a prompt whose logprobs are wanted is computed as a whole, and shared all the same", () => {
  const engine = engineOf();
  const cached = cachedOf(
    engine,
    sequenceOf("a", 40),
    sequenceOf("b", 40, { promptLogprobs: true }),
    sequenceOf("c", 40),
  );
  assertEquals(cached, [0, 0, 32]);
});

Deno.test("base and adapter never share, nor two weights of an adapter (vLLM #3264, #44250, LMCache #2961)", () => {
  const heavy = using("upper@1").adapters.map((route) => ({ ...route, weight: 2 }));
  const cached = cachedOf(
    engineOf(),
    sequenceOf("a", 40),
    sequenceOf("b", 40, using("upper@1")),
    sequenceOf("c", 40, { adapters: heavy }),
    sequenceOf("d", 40, using("upper@1")),
    sequenceOf("e", 40),
  );
  assertEquals(cached, [0, 0, 0, 32, 32]);
});

Deno.test("two revisions of one adapter name never share KV (vLLM #30931, #42125)", () => {
  const cached = cachedOf(
    engineOf(),
    sequenceOf("a", 40, using("upper@1")),
    sequenceOf("b", 40, using("upper@2")),
    sequenceOf("c", 40, using("upper@1")),
  );
  assertEquals(cached, [0, 0, 32]);
});

Deno.test("two salts never share, and no salt can be taken for an adapter (vLLM #44701)", () => {
  const cached = cachedOf(
    engineOf(),
    sequenceOf("a", 40, using("upper@1")),
    sequenceOf("b", 40, { cacheSalt: "upper@1" }),
    sequenceOf("c", 40, { cacheSalt: '",[["upper@1",1]]' }),
    sequenceOf("d", 40, { cacheSalt: "upper@1", ...using("upper@1") }),
    sequenceOf("e", 40, { cacheSalt: "upper@1" }),
  );
  assertEquals(cached, [0, 0, 0, 0, 32]);
});

Deno.test("without the cache nothing is shared or kept", () => {
  const engine = engineOf({ prefixCache: false });
  assertEquals(cachedOf(engine, sequenceOf("a", 40), sequenceOf("b", 40)), [0, 0]);
  const { prefixQueries, prefixHits, cachedPages, freePages } = engine.scheduler.load;
  assertEquals({ prefixQueries, prefixHits, cachedPages, freePages }, {
    prefixQueries: 80,
    prefixHits: 0,
    cachedPages: 0,
    freePages: 40,
  });
});

Deno.test("blocks of a step in flight are shared by the next one, which the executor runs after it", () => {
  const engine = engineOf();
  const a = sequenceOf("a", 64 + BLOCK, { maxTokens: 4 });
  const b = sequenceOf("b", 64 + BLOCK, { maxTokens: 4 });
  engine.submit(a);
  while (engine.steps.length < 1) engine.deliver(() => 0);
  engine.submit(b);
  engine.settle(); // former first, executor last: the answer to the first step has not come yet
  assertFinished(engine, a, b);
  assertEquals(engine.seen.get(b.id)?.cached, 64);
});
