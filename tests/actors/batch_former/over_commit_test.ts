import { assert, assertEquals } from "@std/assert";
import { paperTrace } from "../../../bench/support/paper_settings.ts";
import { syntheticTrace } from "../../../bench/support/trace.ts";
import { runWith, summaryOf } from "./policies/jobs.ts";

const trace = syntheticTrace(paperTrace({ rate: 2.5, seconds: 120 }));
/** Clients that allow far more than they get. */
const loose = trace.map((request) => ({ ...request, maxTokens: 2048 }));
const run = (requests: typeof trace, overCommit: number | null) => {
  const done = runWith({}, requests, { overCommit });
  const { requestsPerSecond, completed } = summaryOf(done);
  assertEquals(completed, requests.length);
  return { rate: requestsPerSecond, preemptions: done.preemptions };
};

Deno.test("simulated: where room is kept for the peak nobody has to give up pages, and otherwise many", () => {
  const [kept, none] = [run(trace, 1), run(trace, Infinity)];
  assert(kept.preemptions <= 2, `${kept.preemptions}`);
  assert(none.preemptions > 20, `${none.preemptions}`);
  assert(kept.rate > none.rate * 0.98);
});

Deno.test("simulated: room for all that clients allow and do not use costs throughput, which learning saves", () => {
  const [kept, none, learnt] = [run(loose, 1), run(loose, Infinity), run(loose, null)];
  assert(kept.rate < 0.75 * none.rate, `${kept.rate} of ${none.rate}`);
  assert(learnt.rate > 0.98 * none.rate, `${learnt.rate} of ${none.rate}`);
  assert(learnt.preemptions < none.preemptions / 2, `${learnt.preemptions}`);
});

Deno.test("simulated: where clients use what they allow, learning keeps room for it", () => {
  const [learnt, none] = [run(trace, null), run(trace, Infinity)];
  assert(learnt.preemptions < none.preemptions / 2, `${learnt.preemptions} of ${none.preemptions}`);
  assert(learnt.rate > 0.98 * none.rate);
});
