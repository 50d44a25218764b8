import { assertAlmostEquals, assertEquals } from "@std/assert";
import { saturation, summarize } from "../../bench/support/load_summary.ts";
import type { LoadRecord } from "../../bench/support/offered_load.ts";

const record = (changes: Partial<LoadRecord>): LoadRecord => ({
  adapter: 0,
  due: 0,
  ended: 2,
  firstToken: 1,
  gaps: [0.5, 0.5],
  promptTokens: 4,
  outputTokens: 3,
  status: 200,
  error: null,
  ...changes,
});

Deno.test("summarize() counts what failed in attainment and satisfaction, and nowhere else", () => {
  const records = [
    record({}),
    record({ adapter: 1, due: 1, ended: 10, firstToken: 3 }),
    record({ adapter: 1, ended: 9, firstToken: 8, outputTokens: 5 }),
    record({
      adapter: null,
      firstToken: null,
      gaps: [],
      outputTokens: 0,
      status: 429,
      error: "full",
    }),
  ];
  const summary = summarize({ records, tokenTimes: [], seconds: 10 }, 6);
  assertEquals([summary.requests, summary.completed, summary.failed], [4, 3, 1]);
  assertAlmostEquals(summary.requestsPerSecond, 0.3);
  assertAlmostEquals(summary.outputTokensPerSecond, 1.1);
  assertEquals(summary.firstToken, { p50: 3, p90: 8, p99: 8 });
  assertAlmostEquals(summary.attainment, 2 / 4);
  assertAlmostEquals(summary.satisfaction, (2 - (1 / 6) ** 2 - (3 / 6) ** 2) / 4);
  assertAlmostEquals(summary.latency, (2 + 9 + 9) / 3);
  assertEquals([summary.adaptersTouched, summary.failures], [2, { "429: full": 1 }]);
});

Deno.test("saturation() is the steady token rate over the mean answer, whatever came before and after", () => {
  const steady = Array.from({ length: 300 }, (_, i) => i / 10);
  const tokenTimes = [...Array.from({ length: 50 }, () => 1), ...steady, 31, 32];
  const records = [record({ outputTokens: 10 }), record({ outputTokens: 30 })];
  assertAlmostEquals(saturation({ records, tokenTimes, seconds: 33 }, 30), 10 / 20, 0.01);
});
