// What S-LoRA's paper found of its policies holds in the simulation, on the paper's own traces.
import { assert, assertEquals } from "@std/assert";
import { MEASURED_STEPS } from "../../bench/support/measured_steps.ts";
import { PAPER_OVER_ADAPTERS, PAPER_OVER_RATE } from "../../bench/support/paper_numbers.ts";
import { PAPER_SETTINGS, paperServer, paperTrace } from "../../bench/support/paper_settings.ts";
import { simulate } from "../../bench/support/simulation.ts";
import { fittedCost, slower, stepMs } from "../../bench/support/step_cost.ts";
import { syntheticTrace, type TraceOptions } from "../../bench/support/trace.ts";
import { overload, OVERLOAD_BOUND } from "../../bench/support/vtc_overload.ts";
import { summarize } from "../../bench/support/load_summary.ts";
import { POLICY_DEFAULTS, type PolicyOptions } from "../../actors/policy_options.ts";

const run = (
  name: keyof typeof PAPER_SETTINGS,
  trace: Partial<TraceOptions>,
  policy: Partial<PolicyOptions> = {},
) => {
  const setting = PAPER_SETTINGS[name];
  const server = paperServer(setting, { policy: { ...POLICY_DEFAULTS, ...policy } });
  return summarize(simulate(syntheticTrace(paperTrace(setting, trace)), server), 6);
};

Deno.test("two tenants who always wait get service that differs by VTC's bound at most, and by more under fcfs", () => {
  const [fair, first] = [overload("vtc", 120), overload("fcfs", 120)];
  assert(fair.gap < OVERLOAD_BOUND && OVERLOAD_BOUND < first.gap, `${fair.gap}, ${first.gap}`);
});

Deno.test("the fitted cost of a step is within 15 % of every step that was measured", () => {
  const cost = fittedCost();
  for (const step of MEASURED_STEPS) {
    const ratio = stepMs(cost, { ...step, adapterBytes: 0 }) / step.ms;
    assert(ratio > 0.85 && ratio < 1.15, `${JSON.stringify(step)}: ${ratio}`);
  }
  assert(Object.values(cost).every((term) => term > 0), JSON.stringify(cost));
  const work = { rows: 5, context: 100, promptTokens: 7, adapterBytes: 1e6 };
  const ratio = stepMs(slower(cost, 2), work) / stepMs(cost, work);
  assert(Math.abs(ratio - 2) < 1e-9);
});

Deno.test("a simulated run is the same every time, and every token comes after the one before", () => {
  const options = paperTrace({ rate: 2, seconds: 30 });
  const server = paperServer(PAPER_SETTINGS["S2 A10G"]);
  const [one, other] = [0, 1].map(() => simulate(syntheticTrace(options), server));
  assertEquals(one, other);
  for (const { outputTokens, gaps, firstToken, promptTokens } of one?.records ?? []) {
    assert(promptTokens >= 8 && gaps.length === outputTokens - 1);
    assert((firstToken ?? 0) > 0 && gaps.every((gap) => gap > 0));
  }
});

Deno.test("throughput stays flat over the number of adapters, as in S-LoRA's figure 5", () => {
  const { 1: one, 200: many } = PAPER_OVER_ADAPTERS["S2 A10G"];
  const [ours, paper] = [
    run("S2 A10G", { adapters: 200 }).requestsPerSecond /
    run("S2 A10G", { adapters: 1 }).requestsPerSecond,
    many / one,
  ];
  assert(Math.abs(ours - paper) < 0.05, `${ours} and ${paper}`);
});

Deno.test("below saturation all is in time, above it hardly anything, as in S-LoRA's figure 6", () => {
  for (const name of ["S2 A10G", "S4 A100-80"] as const) {
    const { adapters, rates } = PAPER_OVER_RATE[name];
    for (const [rate, throughput, , attained] of [rates[0], rates[rates.length - 1] ?? rates[0]]) {
      const ours = run(name, { rate, adapters });
      assert(Math.abs(ours.requestsPerSecond / throughput - 1) < 0.1, `${ours.requestsPerSecond}`);
      assert(Math.abs(ours.attainment - attained) < 0.1, `${ours.attainment}`);
    }
  }
});

Deno.test("clustering brings more first tokens in time than a batch of any adapters, for any d (S-LoRA's ablation)", () => {
  const attained = [1, 8, 32].map((clusterAdapters) =>
    run("S4 A100-40", { adapters: 32, seconds: 120 }, { names: ["cluster"], clusterAdapters })
  );
  const [one, eight, all] = attained;
  assert(one && eight && all);
  for (const few of [one, eight]) {
    assert(few.attainment > all.attainment && few.requestsPerSecond > 0.98 * all.requestsPerSecond);
  }
});
