import { assert, assertEquals, assertThrows } from "@std/assert";
import { Scheduler } from "../../../actors/batch_former/scheduler.ts";
import { UNKNOWN_MEMORY } from "../../../actors/batch_former/unknown_memory.ts";
import { POLICY_DEFAULTS } from "../../../actors/policy_options.ts";
import { requestId, stepId } from "../../../memory/ids.ts";
import { runAlone } from "../../support/simulated_executor.ts";
import { sequenceOf, using } from "./sequences.ts";
import { assertFinished, type EngineShape, SimulatedEngine } from "./simulated_engine.ts";

const shape: EngineShape = {
  maxRunning: 4,
  maxBatchTokens: 32,
  maxLogitRows: 16,
  layerPages: 40,
  headPages: 4,
  pagesPerBlock: 1,
  adapters: { small: { layers: 2, head: 0 }, large: { layers: 30, head: 1 }, broken: null },
};
const engineOf = (more: Partial<EngineShape> = {}) => new SimulatedEngine({ ...shape, ...more });

/** The tokens of each row of each step; null for a token that stays on the GPU. */
const rows = (engine: SimulatedEngine) =>
  engine.steps.map((step) => step.rows.map((row) => row.tokens?.length ?? null));

Deno.test("a prompt longer than the step's budget is computed in chunks, then tokens stay on the GPU", () => {
  const engine = engineOf();
  const a = sequenceOf("a", 70, { maxTokens: 4 });
  engine.submit(a);
  engine.settle();
  assertEquals(rows(engine), [[32], [32], [6], [null], [null], [null]]);
  assertFinished(engine, a);
});

Deno.test("decoding sequences have their tokens in every step while a long prompt is computed beside them", () => {
  const engine = engineOf();
  const [a, b] = [sequenceOf("a", 4, { maxTokens: 12 }), sequenceOf("b", 100)];
  engine.submit(a);
  while (engine.steps.length < 3) engine.deliver(() => 0);
  engine.submit(b);
  engine.settle();
  const mixed = engine.steps.filter((step) => step.rows.length === 2);
  assert(mixed.length >= 4);
  assertEquals(mixed[0]?.rows.map((row) => row.tokens?.length ?? null), [null, 31]);
  assertFinished(engine, a, b);
});

Deno.test("a step is planned while the one before it runs", () => {
  const engine = engineOf();
  engine.submit(sequenceOf("a", 4, { maxTokens: 8 }));
  // Mailboxes are served in order, the executor's last but one: its queue shows how far planning is ahead.
  engine.settle(() => 0);
  assertEquals(engine.steps.slice(1).map((step) => step.rows[0]?.tokens), Array(7).fill(null));
});

Deno.test("the token that a stop token makes superfluous is dropped", () => {
  const plain = sequenceOf("a", 5, { maxTokens: 12 });
  const stop = runAlone(plain).tokens[6] ?? -1;
  const a = sequenceOf("a", 5, { maxTokens: 12, stopTokenIds: [stop] });
  const engine = engineOf();
  engine.submit(a);
  engine.settle();
  const { tokens = [], ends } = engine.seen.get(a.id) ?? {};
  assertEquals(tokens.at(-1), stop);
  assertEquals(ends, [{ kind: "finished", reason: "stop" }]);
  assert(engine.steps.length > tokens.length, "a step was planned ahead");
});

Deno.test("a sequence without a finite logit ends alone, with the reason", () => {
  const engine = engineOf();
  const [a, b] = [sequenceOf("a", 5), sequenceOf("b", 5, { maxTokens: 12 })];
  engine.submit(a);
  engine.submit(b);
  while ((engine.seen.get(a.id)?.tokens.length ?? 0) < 3) engine.deliver(() => 0);
  engine.broken.add(a.id);
  engine.settle();
  const error = "Cannot sample: expected finite logits, received none";
  assertEquals(engine.seen.get(a.id)?.ends, [{ kind: "failed", error }]);
  assertFinished(engine, b);
});

Deno.test("no token is planned beyond maxTokens", () => {
  const engine = engineOf();
  engine.submit(sequenceOf("a", 5, { maxTokens: 3 }));
  engine.settle();
  assertEquals(engine.steps.length, 3);
});

Deno.test("a request that waits for its adapter holds nobody up, and base rows never wait", () => {
  const engine = engineOf();
  const a = sequenceOf("a", 5, using("small"));
  const b = sequenceOf("b", 5);
  engine.register("small");
  engine.submit(a);
  engine.submit(b);
  // The loader's mailbox is the last: with 0 it is served only when nothing else is to do.
  engine.settle(() => 0);
  assert(engine.seen.get(b.id)?.ends.length === 1);
  assertFinished(engine, a, b);
});

Deno.test("a request whose adapter is being uploaded has its pages and its slot, and runs when it has arrived", () => {
  const engine = engineOf();
  const [a, b] = [sequenceOf("a", 5, using("large")), sequenceOf("b", 5, { maxTokens: 6 })];
  engine.register("large");
  engine.submit(a);
  while (engine.uploads.length === 0) engine.deliver(() => 0);
  engine.submit(b);
  // Slices come last: with 0 a page is copied only when nothing else is to do.
  engine.settle(() => 0);
  const first = engine.steps.findIndex(({ rows }) => rows.some(({ slot }) => slot === 0));
  assert(first >= 6, "b ran alone to its end before a's first step");
  assertFinished(engine, a, b);
});

Deno.test("a request that is cancelled while its adapter is being uploaded leaves nothing behind", () => {
  const engine = engineOf();
  engine.register("large");
  engine.submit(sequenceOf("a", 5, using("large")));
  while (engine.uploads.length === 0) engine.deliver(() => 0);
  for (let i = 0; i < 4; i++) engine.deliver(() => 0.99);
  engine.cancel(requestId("a"));
  engine.settle();
  const { running, waiting, kvPages, freePages, pages } = engine.scheduler.load;
  assertEquals({ running, waiting, kvPages }, { running: 0, waiting: 0, kvPages: 0 });
  assertEquals(freePages + 30, pages, "the adapter stays until its pages are wanted");
  // All that is left can be had by somebody else at once.
  const b = sequenceOf("b", 16 * 38);
  engine.submit(b);
  engine.settle();
  assertFinished(engine, b);
});

Deno.test("a request whose adapter does not load or is unknown fails, and says why", () => {
  const engine = engineOf();
  const [a, b] = [sequenceOf("a", 5, using("broken")), sequenceOf("b", 5, using("nobody"))];
  engine.register("broken");
  engine.submit(a);
  engine.submit(b);
  engine.settle();
  assertEquals([a, b].map(({ id }) => engine.seen.get(id)?.ends), [
    [{ kind: "failed", error: "Cannot load adapter broken" }],
    [{ kind: "failed", error: "Cannot use adapter: it is not registered, received nobody" }],
  ]);
});

Deno.test("the logprobs of a prompt come in order, once, whatever the chunks and preemptions", () => {
  const engine = engineOf({ maxLogitRows: 7, layerPages: 6 });
  const a = sequenceOf("a", 30, { promptLogprobs: true, maxTokens: 40 });
  const b = sequenceOf("b", 20, { promptLogprobs: true, maxTokens: 40 });
  engine.submit(a);
  engine.submit(b);
  engine.settle();
  assert(engine.scheduler.load.preemptions >= 1);
  assertFinished(engine, a, b);
});

Deno.test("a replayed sequence goes on after its last token and does not repeat its prompt's logprobs", () => {
  const whole = sequenceOf("a", 20, { maxTokens: 12, promptLogprobs: true });
  const { tokens, end } = runAlone(whole);
  const engine = engineOf();
  engine.submit({ ...whole, generated: tokens.slice(0, 5) });
  engine.settle();
  assertEquals(engine.seen.get(whole.id), {
    tokens: tokens.slice(5),
    promptLogprobs: [],
    ends: [end],
    cached: 0,
  });
});

Deno.test("a replayed sequence that was at its end already only ends", () => {
  const engine = engineOf();
  engine.submit(sequenceOf("a", 4, { generated: [1, 2], maxTokens: 2 }));
  engine.submit(sequenceOf("b", 4, { generated: [1, 2], maxTokens: 9, stopTokenIds: [2] }));
  engine.settle();
  const ends = ["a", "b"].map((id) => engine.seen.get(requestId(id))?.ends[0]);
  assertEquals(ends, [
    { kind: "finished", reason: "length" },
    { kind: "finished", reason: "stop" },
  ]);
  assertEquals(engine.steps, []);
});

Deno.test("a sequence without prompt fails", () => {
  const engine = engineOf();
  engine.submit(sequenceOf("a", 0));
  engine.settle();
  assertEquals(engine.seen.get(requestId("a"))?.ends[0]?.kind, "failed");
});

Deno.test("a cancelled sequence gives its pages and its slot back when the steps in flight are done", () => {
  const engine = engineOf({ maxRunning: 1 });
  const [a, b] = [sequenceOf("a", 40, { maxTokens: 500 }), sequenceOf("b", 5)];
  engine.submit(a);
  while (engine.steps.length < 6) engine.deliver(() => 0);
  engine.cancel(a.id);
  engine.submit(b);
  engine.settle();
  assertEquals(engine.seen.get(a.id)?.ends, []);
  assertFinished(engine, b);
  const { kvPages, cachedPages, freePages, pages } = engine.scheduler.load;
  assertEquals([kvPages, cachedPages + freePages], [0, pages]);
});

Deno.test("every message between the actors survives structuredClone", () => {
  const engine = engineOf({ clone: true });
  const a = sequenceOf("a", 40, { ...using("small", "large"), promptLogprobs: true });
  for (const name of ["small", "large", "broken"]) engine.register(name);
  engine.submit(a);
  engine.submit(sequenceOf("b", 3, using("broken")));
  engine.settle();
  assertFinished(engine, a);
});

Deno.test("answers that make no sense stop the engine", () => {
  const scheduler = new Scheduler(shape);
  const step = stepId(1);
  assertThrows(() => scheduler.handle({ kind: "stepped", step, rows: [] }, 0), Error, "received 1");
  assertThrows(
    () => scheduler.handle({ kind: "step_failed", step, error: "device lost" }, 0),
    Error,
    "Cannot run step 1: device lost",
  );
  scheduler.handle({ kind: "submit", sequence: sequenceOf("a", 1) }, 0);
  assertThrows(
    () => scheduler.handle({ kind: "submit", sequence: sequenceOf("a", 1) }, 0),
    RangeError,
    "its id is in use, received a",
  );
});

Deno.test("limits that leave a running sequence without a token are refused", () => {
  assertThrows(
    () => new Scheduler({ maxRunning: 8, maxBatchTokens: 4, maxLogitRows: 8 }),
    RangeError,
    "received 8, 4 and 8",
  );
});

Deno.test("who waits for an adapter that does not come is given up in time, though nothing else happens", () => {
  const policy = { ...POLICY_DEFAULTS, names: ["abort"] as const };
  const scheduler = new Scheduler({ ...shape, policy });
  const sequence = sequenceOf("a", 5, using("small"));
  scheduler.handle({ kind: "submit", sequence }, 0);
  scheduler.plan(0);
  assertEquals(scheduler.takeEffects().memory.map(({ kind }) => kind), ["plan"]);
  const grants = [{ kind: "waiting", request: sequence.id }] as const;
  scheduler.handle({ kind: "planned", plan: 1, grants, ...UNKNOWN_MEMORY }, 1);
  for (const [now, ends] of [[5499, []], [5500, ["shed"]], [5600, []]] as const) {
    scheduler.handle({ kind: "tick" }, now);
    scheduler.plan(now);
    assertEquals(scheduler.takeEffects().outputs.map(({ end }) => end?.kind), [...ends]);
  }
  assertEquals([scheduler.load.waiting, scheduler.load.sheds], [0, 1]);
});

Deno.test("at rest memory is asked once a second what it has, for adapters come and go without a step", () => {
  const scheduler = new Scheduler(shape);
  const asked = (now: number) => {
    scheduler.handle({ kind: "tick" }, now);
    scheduler.plan(now);
    return scheduler.takeEffects().memory;
  };
  assertEquals(asked(0), [{ kind: "plan", plan: 1, wants: [], upcoming: [] }]);
  assertEquals(asked(5000), [], "an answer is due");
  const usage = { ...UNKNOWN_MEMORY.usage, pages: 40, adapterPages: 3 };
  scheduler.handle({ kind: "planned", plan: 1, grants: [], ...UNKNOWN_MEMORY, usage }, 5001);
  assertEquals(scheduler.load.adapterPages, 3);
  assertEquals(asked(5002).length, 1);
});

Deno.test("how long a request waited for an engine that is gone counts, and it arrives here now all the same", () => {
  const policy = { ...POLICY_DEFAULTS, names: ["abort"] as const, sloMs: 6000 };
  const scheduler = new Scheduler({ ...shape, policy });
  const waits = { old: 5600, b: 3000, c: 3000, d: 3000, e: 3000 };
  for (const [id, waitedMs] of Object.entries(waits)) {
    scheduler.handle({ kind: "submit", sequence: { ...sequenceOf(id, 5), waitedMs } }, 0);
  }
  scheduler.plan(600);
  const { outputs, memory } = scheduler.takeEffects();
  assertEquals(outputs.map(({ request, end }) => [request, end?.kind]), [
    [requestId("old"), "shed"],
  ]);
  const [plan] = memory;
  assert(plan?.kind === "plan");
  // More came just now than were admitted: had they come long ago, the oldest would be the first.
  assertEquals(plan.wants.map(({ request }) => request), ["e", "d", "c", "b"].map(requestId));
});
