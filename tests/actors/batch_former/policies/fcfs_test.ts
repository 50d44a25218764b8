import { assert, assertEquals } from "@std/assert";
import { fcfs } from "../../../../actors/batch_former/policies/fcfs.ts";
import type { SimulatedRequest } from "../../../../bench/support/simulation.ts";
import { jobOf, runWith } from "./jobs.ts";

Deno.test("fcfs lets others pass one that does not fit, until it has waited for its bound", () => {
  const { bars } = fcfs(100);
  assertEquals(bars?.(jobOf(0), 1e6), false);
  assertEquals(bars?.(jobOf(0, { blockedSince: 50 }), 149), false);
  assertEquals(bars?.(jobOf(0, { blockedSince: 50 }), 150), true);
  assertEquals(bars?.(jobOf(0, { blockedSince: 50, crowded: true }), 150), false);
});

Deno.test("fcfs lets nobody pass one that had to give up its pages", () => {
  assertEquals(fcfs(100).bars?.(jobOf(0, { blockedSince: 50, begun: true }), 50), true);
});

/** A stream of small requests that fills the pool for ever, and among them one that needs most of it. */
function smallOnesAndABigOne(): SimulatedRequest[] {
  const small = Array.from({ length: 400 }, (_, i) => ({
    at: i * 0.2,
    adapter: null,
    promptTokens: 60,
    outputTokens: 60,
  }));
  const big = { at: 20.1, adapter: null, promptTokens: 1500, outputTokens: 20 };
  return [...small, big].sort((a, b) => a.at - b.at);
}

Deno.test("simulated: a request that needs most of a busy pool is passed for so long, and then gets its turn", () => {
  const firstTokens = [1000, 5000, 20_000].map((agingMs) => {
    const { records } = runWith({ agingMs }, smallOnesAndABigOne(), { poolTokens: 2000 });
    const big = records.find(({ promptTokens }) => promptTokens === 1500);
    // Those that came after it and had their first token before it.
    const passed = records.filter((record) =>
      record.due > 20.1 && record.due + (record.firstToken ?? 0) < 20.1 + (big?.firstToken ?? 0)
    );
    assert(passed.length > 0, "small ones fit, and pass");
    assert(records.every(({ error }) => error === null));
    return { waited: big?.firstToken ?? 0, passed: passed.length };
  });
  const [short, middle, long] = firstTokens;
  assert(short && middle && long);
  assert(short.waited < middle.waited && middle.waited < long.waited, JSON.stringify(firstTokens));
  assert(short.passed < middle.passed && middle.passed < long.passed, JSON.stringify(firstTokens));
});
