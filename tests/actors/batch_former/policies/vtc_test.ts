import { assert, assertEquals } from "@std/assert";
import { vtc } from "../../../../actors/batch_former/policies/vtc.ts";
import { POLICY_DEFAULTS, type PolicyName } from "../../../../actors/policy_options.ts";
import { serviceGap, serviceUntil } from "../../../../bench/support/service.ts";
import { paperTrace } from "../../../../bench/support/paper_settings.ts";
import { syntheticTrace } from "../../../../bench/support/trace.ts";
import type { SimulatedRequest } from "../../../../bench/support/simulation.ts";
import { arrivalsOf, jobOf, meanFirstToken, runWith } from "./jobs.ts";

const { prices } = POLICY_DEFAULTS;
const scene = { running: [], now: 0 };
const orderOf = (policy: ReturnType<typeof vtc>, queue: ReturnType<typeof jobOf>[]) =>
  arrivalsOf(policy.order?.(queue, scene) ?? []);

Deno.test("vtc tries whoever was served least, and counts what it draws as served", () => {
  const policy = vtc(prices);
  const queue = ["a", "a", "a", "b", "b"].map((tenant, i) => jobOf(i, { tenant }));
  assertEquals(orderOf(policy, queue), [0, 3, 1, 4, 2]);
  policy.admitted?.(jobOf(9, { tenant: "a" }), 10, 0);
  policy.served?.(jobOf(9, { tenant: "a" }), 5);
  assertEquals(orderOf(policy, queue), [3, 4, 0, 1, 2]);
});

Deno.test("vtc charges by weight, among tenants and among one tenant's adapters", () => {
  const policy = vtc(prices);
  const heavy = { tenant: 2, adapter: 1 };
  const queue = [0, 1, 2, 3, 4, 5].map((i) =>
    jobOf(i, i % 2 ? { tenant: "heavy", shares: heavy } : { tenant: "light" })
  );
  assertEquals(orderOf(policy, queue), [0, 1, 3, 2, 5, 4]);
  const adapters = ["x", "x", "y", "y"].map((adapter, i) => jobOf(i, { adapter }));
  assertEquals(orderOf(policy, adapters), [0, 2, 1, 3]);
  policy.served?.(jobOf(9, { adapter: "x" }), 100);
  assertEquals(orderOf(policy, adapters), [2, 3, 0, 1]);
});

Deno.test("vtc gives no credit for having been away: a newcomer's counter is lifted", () => {
  const policy = vtc(prices);
  const waiting = jobOf(0, { tenant: "busy" });
  policy.admitted?.(waiting, 1000, 0);
  const newcomer = jobOf(1, { tenant: "new" });
  policy.arrived?.(newcomer, [waiting], 0);
  // Lifted to the busy one's counter, the newcomer is not drawn again and again before it.
  const queue = [waiting, newcomer, jobOf(2, { tenant: "new" }), jobOf(3, { tenant: "new" })];
  assertEquals(orderOf(policy, queue), [0, 1, 2, 3]);
  // Nobody waits: lifted to whoever left last.
  const late = jobOf(4, { tenant: "late" });
  policy.arrived?.(late, [], 0);
  assertEquals(orderOf(policy, [waiting, late]), [0, 4]);
});

/** Requests of 256 and 256 tokens at even times. */
const even = (tenant: string, rate: number, seconds: number): SimulatedRequest[] =>
  Array.from({ length: rate * seconds }, (_, i) => ({
    at: i / rate,
    adapter: null,
    tenant,
    promptTokens: 256,
    outputTokens: 256,
  }));
const together = (...traces: SimulatedRequest[][]) => traces.flat().sort((a, b) => a.at - b.at);
const POOL = 10_000;
/** The paper's theorem 4.4, with M tokens in the pool. */
const BOUND = 2 * Math.max(prices.prompt * 256, prices.output * POOL);

function served(names: readonly PolicyName[], trace: SimulatedRequest[], tenants: string[]) {
  const { records } = runWith({ names }, trace, { poolTokens: POOL });
  return tenants.map((tenant) => records.filter((_, i) => trace[i]?.tenant === tenant));
}

Deno.test("simulated: two tenants that both ask for too much differ by no more than the VTC paper's bound, under FCFS by far more", () => {
  const seconds = 150;
  const trace = together(even("a", 1.5, seconds), even("b", 3, seconds));
  const gapOf = (...names: PolicyName[]) => {
    const [a = [], b = []] = served(names, trace, ["a", "b"]);
    return serviceGap(a, b, prices, seconds);
  };
  const [fair, plain] = [gapOf("vtc"), gapOf("fcfs")];
  assert(fair <= BOUND, `${fair} of ${BOUND}`);
  assert(plain > BOUND, `${plain}`);
});

Deno.test("simulated: a tenant of twice the weight is served twice as much while both ask for too much", () => {
  const seconds = 150;
  const heavy = even("heavy", 3, seconds)
    .map((request) => ({ ...request, shares: { tenant: 2, adapter: 1 } }));
  const [most = [], least = []] = served(
    ["vtc"],
    together(heavy, even("light", 3, seconds)),
    ["heavy", "light"],
  );
  const ratio = serviceUntil(most, prices, seconds) / serviceUntil(least, prices, seconds);
  assert(ratio > 1.85 && ratio < 2.15, `${ratio}`);
});

Deno.test("simulated: one tenant floods at 10 times the other's rate, which keeps its share and its first tokens (aibrix #649, llm-d-router #1182)", () => {
  const seconds = 150;
  const [quiet, flood] = [even("quiet", 0.4, seconds), even("flood", 4, seconds)];
  const trace = together(quiet, flood);
  const asked = 0.4 * seconds * (prices.prompt * 256 + prices.output * 256);
  const [mine = [], theirs = []] = served(["vtc"], trace, ["quiet", "flood"]);
  assert(serviceUntil(mine, prices, seconds) > 0.95 * asked - BOUND / 2, "all that it asked for");
  // What the others may be ahead of it has to be served first.
  const rate = (serviceUntil(mine, prices, seconds) + serviceUntil(theirs, prices, seconds)) /
    seconds;
  const waited = meanFirstToken(mine);
  assert(waited <= BOUND / rate, `${waited} s of ${BOUND / rate}`);
  const [crowded = []] = served(["fcfs"], trace, ["quiet"]);
  assert(meanFirstToken(crowded) > 5 * waited, `${meanFirstToken(crowded)} and ${waited}`);
  assert(serviceUntil(crowded, prices, seconds) < 0.8 * asked);
});

Deno.test("simulated: with vtc it is the flood's requests that early abort gives up", () => {
  const trace = together(even("quiet", 0.4, 120), even("flood", 4, 120));
  const shareLost = (...names: PolicyName[]) =>
    served(names, trace, ["quiet", "flood"]).map((records) =>
      records.filter(({ error }) => error !== null).length / records.length
    );
  const [quiet = 1, flood = 0] = shareLost("vtc", "abort", "cluster");
  const [alone = 0] = shareLost("abort");
  assert(quiet < 0.3 && flood > 0.5, `${quiet} and ${flood}`);
  assert(alone > 2 * quiet, `${alone} and ${quiet}`);
});

Deno.test("simulated: adapters of those whom vtc will try next are brought ahead of time, where S-LoRA's vtc_fair crashed", () => {
  const trace = syntheticTrace(paperTrace({ rate: 2, seconds: 60 }));
  const { prefetches, records } = runWith({ names: ["vtc"] }, trace);
  assert(prefetches > 20, `${prefetches}`);
  assert(records.every(({ error }) => error === null));
});

Deno.test("vtc draws a batch from a queue of thousands of adapters for little more than one", () => {
  const policy = vtc(prices);
  const queue = Array.from(
    { length: 8000 },
    (_, i) => jobOf(i, { adapter: `${i}`.padStart(64, "0") }),
  );
  const timeOf = (draws: number) => {
    const times = Array.from({ length: 3 }, () => {
      const start = performance.now();
      const drawn = policy.order?.(queue, scene)[Symbol.iterator]();
      for (let i = 0; i < draws; i++) drawn?.next();
      return performance.now() - start;
    });
    return Math.min(...times);
  };
  const [one, batch] = [timeOf(1), timeOf(400)];
  assert(batch < 4 * one, `${batch} ms for 400, ${one} ms for one`);
});
