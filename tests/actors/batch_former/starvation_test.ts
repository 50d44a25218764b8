// Reports of other servers where adapters made requests wait, simulated with our scheduler, memory and step times.
import { assert } from "@std/assert";
import { summarize } from "../../../bench/support/load_summary.ts";
import { ownServer } from "../../../bench/support/own_setting.ts";
import { percentile } from "../../../bench/support/percentile.ts";
import {
  simulate,
  type SimulatedRequest,
  type SimulatedRun,
} from "../../../bench/support/simulation.ts";
import { POLICY_DEFAULTS, type PolicyOptions } from "../../../actors/policy_options.ts";

const UPLOAD = 16 * 2 ** 20;
const serverOf = (adapters: number, policy: Partial<PolicyOptions> = {}) => ({
  ...ownServer(adapters, UPLOAD),
  policy: { ...POLICY_DEFAULTS, ...policy },
});
const requestOf = (at: number, adapter: number | null): SimulatedRequest => ({
  at,
  adapter,
  promptTokens: 100,
  outputTokens: 60,
});
const firstTokens = ({ records }: SimulatedRun, adapter: (adapter: number | null) => boolean) =>
  records.filter((record) => adapter(record.adapter)).map(({ firstToken }) => firstToken ?? NaN)
    .sort((a, b) => a - b);

Deno.test("first tokens do not fall off a cliff where there are more adapters than slots elsewhere (SGLang #13349)", () => {
  const [few = NaN, many = NaN] = [8, 512].map((adapters) => {
    const requests = Array.from({ length: 1500 }, (_, i) => requestOf(0, i % adapters));
    return summarize(simulate(requests, serverOf(adapters), 64), 6).firstToken.p50;
  });
  assert(many <= 1.5 * few, `${many} s of ${few}`);
});

Deno.test("with six adapters on room for three the slowest first tokens are not far from the others (SGLang #17913)", () => {
  const requests = Array.from({ length: 400 }, (_, i) => requestOf(i / 4, i * 7 % 6));
  const policy = { names: ["cluster"], clusterAdapters: 3, agingMs: 1000 } as const;
  const { firstToken } = summarize(simulate(requests, serverOf(6, policy)), 6);
  assert(firstToken.p99 < 4 * firstToken.p50, JSON.stringify(firstToken));
});

Deno.test("a rare adapter waits no more than its bound longer than others beside one asked for a hundred times as often (SGLang #15129)", () => {
  // More than is served: whoever is not in the batch must be let in.
  const requests = Array.from(
    { length: 1500 },
    (_, i) => requestOf(i / 25, i % 101 === 100 ? 1 : 0),
  );
  for (const names of [["cluster"], ["vtc"], ["vtc", "cluster"]] as const) {
    const policy = { names, clusterAdapters: 1, agingMs: 1000 };
    const { records } = simulate(requests, serverOf(2, policy));
    let cold = 0;
    records.forEach(({ adapter, firstToken }, i) => {
      if (adapter !== 1) return;
      cold++;
      // Whoever came just before it waits in the same queue.
      const before = records[i - 1]?.firstToken ?? NaN;
      assert((firstToken ?? NaN) < before + 1.5, `${names}: ${firstToken} s after ${before} s`);
    });
    assert(cold > 10);
  }
});

Deno.test("base requests are not held up where adapters are (vLLM #15422)", () => {
  const requests = Array.from(
    { length: 900 },
    (_, i) => requestOf(i / 15, i % 10 === 0 ? null : i % 64),
  );
  const base = (policy: Partial<PolicyOptions>) => {
    const run = simulate(requests, serverOf(64, policy));
    return percentile(firstTokens(run, (adapter) => adapter === null), 0.9);
  };
  const [held, free] = [base({ names: ["cluster"], clusterAdapters: 1 }), base({})];
  assert(held <= free * 1.05, `${held} and ${free} s`);
});
