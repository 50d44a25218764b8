import { assert, assertEquals } from "@std/assert";
import { priority } from "../../../../actors/batch_former/policies/priority.ts";
import { paperTrace } from "../../../../bench/support/paper_settings.ts";
import { syntheticTrace } from "../../../../bench/support/trace.ts";
import { arrivalsOf, jobOf, meanFirstToken, runWith } from "./jobs.ts";

Deno.test("priority tries lower numbers first, the older among equals (vLLM's order)", () => {
  const queue = [5, 0, -1, 0, 5].map((priority, i) => jobOf(i, { priority }));
  const order = priority().order?.(queue, { running: [], now: 0 });
  assertEquals(arrivalsOf(order ?? []), [2, 1, 3, 0, 4]);
  assertEquals(priority().rank?.(jobOf(0, { priority: 5 })), 5);
});

Deno.test("simulated: on a full server the first class waits for hardly anything, the last one for all", () => {
  const trace = syntheticTrace(paperTrace({ rate: 2.5, seconds: 60 }, { adapters: 20 }))
    .map((request, i) => ({ ...request, priority: i % 4 === 0 ? 0 : 1 }));
  const { records } = runWith({ names: ["priority"] }, trace);
  const of = (first: boolean) => records.filter((_, i) => (i % 4 === 0) === first);
  const [urgent, other] = [meanFirstToken(of(true)), meanFirstToken(of(false))];
  assert(urgent * 4 < other, `${urgent} and ${other}`);
  const without = meanFirstToken(runWith({}, trace).records);
  assert(urgent < without && other > without, `${urgent}, ${without}, ${other}`);
  assert(records.every(({ error }) => error === null));
});

Deno.test("simulated: where pages run out, those of the last class are given up", () => {
  const trace = Array.from({ length: 40 }, (_, i) => ({
    at: 0,
    adapter: null,
    promptTokens: 30,
    outputTokens: 300,
    priority: i % 2,
  }));
  const { records, preemptions } = runWith({ names: ["priority"] }, trace, {
    poolTokens: 5000,
    overCommit: Infinity,
  });
  assert(preemptions > 0);
  const last = (first: boolean) =>
    Math.max(...records.filter((_, i) => (i % 2 === 0) === first).map(({ ended }) => ended));
  const pause = (first: boolean) =>
    Math.max(...records.filter((_, i) => (i % 2 === 0) === first).flatMap(({ gaps }) => gaps));
  assert(last(true) < last(false));
  assert(pause(true) * 2 < pause(false), "the first class never lost its place");
});

Deno.test("simulated: a long prompt of the last class holds up no first token of the first", () => {
  const prompt = { at: 0, adapter: null, promptTokens: 8000, outputTokens: 5, priority: 1 };
  const urgent = { at: 1, adapter: null, promptTokens: 50, outputTokens: 5, priority: 0 };
  const [alone, ...names] = [[urgent], [prompt, urgent], [prompt, urgent]].map((trace, i) =>
    runWith({ names: [i === 2 ? "fcfs" : "priority"] }, trace).records.at(-1)?.firstToken ?? NaN
  );
  const [classes = NaN, fcfs = NaN] = names;
  // The step under way and the one that waits behind it.
  const step = 512 * 0.4e-3 * 1.767;
  assert(classes < (alone ?? NaN) + 3 * step, `${classes} s, alone ${alone} s`);
  assert(fcfs > 2 * classes, `${fcfs} s`);
});
