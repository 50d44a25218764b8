import { assert, assertEquals } from "@std/assert";
import type { Job, Policy } from "../../../../actors/batch_former/policies/policy.ts";
import { cluster } from "../../../../actors/batch_former/policies/cluster.ts";
import { makePolicy } from "../../../../actors/batch_former/policies/compose.ts";
import { POLICY_DEFAULTS } from "../../../../actors/policy_options.ts";
import { paperTrace } from "../../../../bench/support/paper_settings.ts";
import { syntheticTrace } from "../../../../bench/support/trace.ts";
import { arrivalsOf, jobOf, runWith, summaryOf } from "./jobs.ts";

const order = (policy: Policy, queue: Job[], running: Job[], now = 0) =>
  arrivalsOf(policy.order?.(queue, { running, now }) ?? []);

Deno.test("cluster takes others only after those whose adapter is in a batch that has as many as it may", () => {
  const queue = ["a", "b", "c", "a"].map((adapter, i) => jobOf(i, { adapter }));
  const running = [jobOf(90, { adapter: "a" }), jobOf(91)];
  assertEquals(order(cluster(1, 100), queue, running), [0, 3, 1, 2]);
  assertEquals(order(cluster(2, 100), queue, running), [0, 1, 2, 3]);
});

Deno.test("cluster never holds up a base request behind adapters (vLLM #15422)", () => {
  const queue = [jobOf(0, { adapter: "b" }), jobOf(1), jobOf(2, { adapter: "c" }), jobOf(3)];
  assertEquals(order(cluster(1, 100), queue, [jobOf(9, { adapter: "a" })]), [1, 3, 0, 2]);
});

Deno.test("cluster gives the first that others went before its turn", () => {
  const queue = [
    jobOf(0, { adapter: "b" }),
    jobOf(1, { adapter: "a" }),
    jobOf(2, { adapter: "c" }),
  ];
  const policy = cluster(1, 100);
  const running = [jobOf(9, { adapter: "a" })];
  assertEquals(order(policy, queue, running, 0), [1, 0, 2]);
  assertEquals(order(policy, queue, running, 99), [1, 0, 2]);
  assertEquals(order(policy, queue, running, 100), [0, 1, 2]);
  // The next one's time begins when it is the first.
  assertEquals(order(policy, queue.slice(1), running, 150), [1, 2]);
  assertEquals(order(policy, queue.slice(1), running, 250), [2, 1]);
});

Deno.test("cluster gives a stranger its turn though other policies change who is the first of them", () => {
  const agingMs = 1000;
  const names = ["cluster", "vtc"] as const;
  const policy = makePolicy({ ...POLICY_DEFAULTS, names, clusterAdapters: 1, agingMs });
  const strangers = ["x", "y"].map((tenant, i) => jobOf(i, { tenant, adapter: `of ${tenant}` }));
  const running = [jobOf(9, { adapter: "a" })];
  const turns = new Set<number>();
  for (let i = 0; i < 40; i++) {
    // Their tenants have plenty of others, which are served two by two.
    const insider = jobOf(10 + i, { tenant: i % 4 < 2 ? "x" : "y", adapter: "a" });
    const waiting = strangers.filter(({ arrival }) => !turns.has(arrival));
    const [first] = policy.order([...waiting, insider], { running, now: i * 100 });
    if (first && first !== insider) turns.add(first.arrival);
    else policy.admitted(insider, 50, i * 100);
  }
  assertEquals([...turns].sort(), [0, 1]);
});

Deno.test("cluster keeps a stranger's turn while its adapter comes from disk, and meanwhile another's time begins", () => {
  const policy = cluster(1, 100);
  const [running, insider] = [[jobOf(9, { adapter: "a" })], jobOf(8, { adapter: "a" })];
  const [cold, other] = [jobOf(0, { adapter: "b" }), jobOf(1, { adapter: "c" })];
  order(policy, [cold, other, insider], running, 0);
  assertEquals(order(policy, [cold, other, insider], running, 100), [0, 8, 1]);
  assertEquals(order(policy, [other, insider], running, 110), [8, 1], "it is being read");
  assertEquals(order(policy, [cold, other, insider], running, 150), [0, 8, 1]);
  assertEquals(order(policy, [cold, other, insider], running, 210), [0, 1, 8]);
});

Deno.test("simulated: fewer adapters in the batch mean fewer uploads, no less throughput and nobody starved (S-LoRA's table of d)", () => {
  const trace = syntheticTrace(paperTrace({ rate: 2, seconds: 120 }, { adapters: 32 }));
  const runs = [1, 4, 32].map((clusterAdapters) =>
    runWith({ names: ["cluster"], clusterAdapters }, trace)
  );
  const [one, four, all] = runs;
  assert(one && four && all);
  assert(four.uploads < all.uploads, `${four.uploads} of ${all.uploads}`);
  const rate = (run: typeof all) => summaryOf(run).requestsPerSecond;
  assert(rate(four) > rate(all) * 0.97, `${rate(four)} of ${rate(all)}`);
  for (const { records } of runs) assert(records.every(({ error }) => error === null));
});
