import { assert, assertEquals, assertMatch } from "@std/assert";
import { makePolicy } from "../../../../actors/batch_former/policies/compose.ts";
import { earlyAbort } from "../../../../actors/batch_former/policies/early_abort.ts";
import { POLICY_DEFAULTS } from "../../../../actors/policy_options.ts";
import { paperTrace } from "../../../../bench/support/paper_settings.ts";
import { syntheticTrace } from "../../../../bench/support/trace.ts";
import { arrivalsOf, jobOf, runWith, summaryOf } from "./jobs.ts";

const scene = (now: number) => ({ running: [], now });

Deno.test("abort gives up whoever cannot have its first token in time, half a second before 6 s are over", () => {
  const queue = [jobOf(0), jobOf(1, { begun: true }), jobOf(2, { submittedAt: 1 })];
  const { shed } = earlyAbort(6000);
  assertEquals(shed?.(queue, scene(5499)), []);
  const [late, ...others] = shed?.(queue, scene(5500)) ?? [];
  assertEquals([late?.job.arrival, others.length], [0, 0]);
  assertMatch(late?.error ?? "", /waited 5.5 s, and the first token is to come within 6 s/);
});

Deno.test("abort tries the latest first while more arrive than are admitted, and who has begun before all", () => {
  const policy = earlyAbort(6000);
  const queue = Array.from({ length: 12 }, (_, i) => jobOf(i, { begun: i === 3 }));
  assertEquals(arrivalsOf(policy.order?.(queue, scene(0)) ?? []).slice(0, 3), [0, 1, 2]);
  for (const job of queue) policy.arrived?.(job, [], 100);
  assertEquals(arrivalsOf(policy.order?.(queue, scene(600)) ?? []).slice(0, 3), [3, 11, 10]);
  for (const job of queue) policy.admitted?.(job, 10, 700);
  assertEquals(arrivalsOf(policy.order?.(queue, scene(1300)) ?? []).slice(0, 3), [0, 1, 2]);
});

Deno.test("abort turns round only what other policies leave equal, wherever it is named", () => {
  const queue = Array.from({ length: 12 }, (_, i) => jobOf(i, { priority: i % 2 === 0 ? 9 : 0 }));
  for (const names of [["abort", "priority"], ["priority", "abort"]] as const) {
    const policy = makePolicy({ ...POLICY_DEFAULTS, names });
    for (const job of queue) policy.arrived(job, [], 0);
    policy.order(queue, scene(0));
    for (const job of queue) policy.arrived(job, [], 100);
    const order = arrivalsOf(policy.order(queue, scene(600)));
    assertEquals(order, [11, 9, 7, 5, 3, 1, 10, 8, 6, 4, 2, 0], names.join());
  }
});

Deno.test("simulated: over cv 1 to 8 early abort has more first tokens in time than FCFS, as in S-LoRA's figure 10", () => {
  for (const cv of [1, 2, 4, 6, 8]) {
    const trace = syntheticTrace(paperTrace({ rate: 2, seconds: 200 }, { cv }));
    const [fcfs, abort] = [runWith({}, trace), runWith({ names: ["abort"] }, trace)].map(summaryOf);
    assert(fcfs && abort);
    assert(abort.attainment > fcfs.attainment * 1.2, `cv ${cv}: ${abort.attainment}`);
    assert(abort.satisfaction > fcfs.satisfaction * 1.2, `cv ${cv}: ${abort.satisfaction}`);
    // Nobody is left without an answer.
    assertEquals(abort.completed + abort.failed, trace.length);
    assert(
      Object.keys(abort.failures).every((why) => why.startsWith("503: Cannot answer in time")),
    );
  }
});

Deno.test("simulated: with room for all nobody is given up", () => {
  const trace = syntheticTrace(paperTrace({ rate: 1, seconds: 100 }));
  const { failed, attainment } = summaryOf(runWith({ names: ["abort"] }, trace));
  assertEquals([failed, attainment], [0, 1]);
});
