import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { syntheticTrace, type TraceOptions } from "../../bench/support/trace.ts";

const PAPER: TraceOptions = {
  rate: 2,
  seconds: 300,
  cv: 1,
  adapters: 100,
  popularity: { kind: "power", alpha: 0.6 },
  promptTokens: [8, 512],
  outputTokens: [8, 512],
  seed: 42,
};
const sum = (numbers: readonly number[]) => numbers.reduce((total, x) => total + x, 0);
const mean = (numbers: readonly number[]) => sum(numbers) / numbers.length;

// From numpy 2.4.6: seed(42), power, randint, randint, gamma, in this order, 600 of each.
const ARRIVALS: readonly [cv: number, first: readonly number[], last: number][] = [
  [1, [0.1598455812792035, 3.0856099621076933, 3.3633308571627105], 301.00485344611263],
  [2, [0.01121149874764574, 0.07719077753403489, 0.0786243383397682], 284.65335137248934],
  [0.5, [0.19176518504063803, 0.2995449734178343, 0.5543191189346829], 307.0726035069916],
];

for (const [cv, first, last] of ARRIVALS) {
  Deno.test(`syntheticTrace() is numpy's, request by request, at cv ${cv}`, () => {
    const trace = syntheticTrace({ ...PAPER, cv });
    assertEquals(trace.length, 600);
    assertEquals(trace.slice(0, 8).map(({ adapter }) => adapter), [19, 91, 59, 42, 4, 4, 0, 78]);
    assertEquals(sum(trace.map(({ adapter }) => adapter ?? 0)), 22633);
    assertEquals(trace.slice(0, 4).map((r) => r.promptTokens), [12, 473, 99, 177]);
    assertEquals(sum(trace.map((r) => r.promptTokens)), 153447);
    assertEquals(trace.slice(0, 4).map((r) => r.outputTokens), [410, 43, 292, 195]);
    assertEquals(sum(trace.map((r) => r.outputTokens)), 155474);
    first.forEach((at, i) => assertAlmostEquals(trace[i]?.at ?? 0, at, 1e-9));
    assertAlmostEquals(trace.at(-1)?.at ?? 0, last, 1e-6);
  });
}

Deno.test("syntheticTrace() keeps to its rate, its burstiness and its lengths", () => {
  for (const cv of [0.5, 1, 3]) {
    const options = { ...PAPER, cv, rate: 50, seconds: 1000, seed: 7 };
    const trace = syntheticTrace(options);
    const gaps = trace.map(({ at }, i) => at - (trace[i - 1]?.at ?? 0));
    const average = mean(gaps);
    const variance = mean(gaps.map((gap) => (gap - average) ** 2));
    assertAlmostEquals(average, 1 / 50, 0.1 / 50);
    assertAlmostEquals(Math.sqrt(variance) / average, cv, cv / 20);
    const lengths = trace.flatMap((r) => [r.promptTokens, r.outputTokens]);
    assertEquals([Math.min(...lengths), Math.max(...lengths)], [8, 511]);
    assertAlmostEquals(mean(lengths), 259.5, 2);
  }
});

Deno.test("syntheticTrace() chooses adapters by S-LoRA's power law or by Zipf's", () => {
  const shares = (popularity: TraceOptions["popularity"]) => {
    const trace = syntheticTrace({ ...PAPER, popularity, adapters: 10, rate: 100, seconds: 1000 });
    const counts = Array.from({ length: 10 }, () => 0);
    for (const { adapter } of trace) counts[adapter ?? -1] = (counts[adapter ?? -1] ?? 0) + 1;
    return counts.map((count) => count / trace.length);
  };
  for (const alpha of [0.1, 0.6, 1]) {
    shares({ kind: "power", alpha }).forEach((share, k) =>
      assertAlmostEquals(share, ((k + 1) / 10) ** alpha - (k / 10) ** alpha, 0.01)
    );
  }
  const harmonic = sum(Array.from({ length: 10 }, (_, k) => (k + 1) ** -1.2));
  shares({ kind: "zipf", exponent: 1.2 }).forEach((share, k) =>
    assertAlmostEquals(share, (k + 1) ** -1.2 / harmonic, 0.01)
  );
});

Deno.test("syntheticTrace() without adapters is for the base model alone", () => {
  assert(syntheticTrace({ ...PAPER, adapters: 0 }).every(({ adapter }) => adapter === null));
});

Deno.test("syntheticTrace() in permutations or in turn touches all n adapters in every n requests", () => {
  const drawn = (kind: "permutation" | "round-robin") =>
    syntheticTrace({ ...PAPER, popularity: { kind }, adapters: 40 }).map(({ adapter }) => adapter);
  for (const kind of ["permutation", "round-robin"] as const) {
    const adapters = drawn(kind);
    for (let at = 0; at < adapters.length; at += 40) {
      assertEquals(new Set(adapters.slice(at, at + 40)).size, 40);
    }
  }
  assertEquals(drawn("round-robin").slice(38, 42), [38, 39, 0, 1]);
  assert(drawn("permutation").slice(0, 40).join() !== drawn("permutation").slice(40, 80).join());
});
