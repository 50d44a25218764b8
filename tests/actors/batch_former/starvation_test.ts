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

/** Pages of an adapter; a request of these lengths has 11 blocks. */
const [ADAPTER_PAGES, REQUEST_PAGES] = [7, 11];

Deno.test("first tokens do not fall off a cliff where there are more adapters than slots elsewhere (SGLang #13349)", () => {
  // Room for the adapters of those that run and no more: of 512 in turn, each is uploaded for each request.
  const blocks = 64 * (REQUEST_PAGES + ADAPTER_PAGES);
  const [few, many] = [8, 512].map((adapters) => {
    const requests = Array.from({ length: 1500 }, (_, i) => requestOf(0, i % adapters));
    const run = simulate(requests, { ...serverOf(adapters), blocks }, 64);
    return { p50: summarize(run, 6).firstToken.p50, uploads: run.uploads };
  });
  assert(
    few && many && few.uploads === 8 && many.uploads > 512,
    `${few?.uploads}, ${many?.uploads}`,
  );
  assert(many.p50 <= 1.5 * few.p50, `${many.p50} s of ${few.p50}`);
});

Deno.test("with six adapters on room for three the slowest first tokens are not far from the others (SGLang #17913)", () => {
  const requests = Array.from({ length: 400 }, (_, i) => requestOf(i / 12, i * 7 % 6));
  const run = (agingMs: number) => {
    const policy = { names: ["cluster"], clusterAdapters: 3, agingMs } as const;
    const server = { ...serverOf(6, policy), blocks: 3 * ADAPTER_PAGES + 80 };
    const simulated = simulate(requests, server);
    assert(simulated.uploads > 6, "they take turns");
    return summarize(simulated, 6).firstToken;
  };
  const [bounded, unbounded] = [run(1000), run(1e9)];
  assert(bounded.p99 < 3 * bounded.p50, JSON.stringify(bounded));
  assert(unbounded.p99 > 4 * unbounded.p50, `without a bound: ${JSON.stringify(unbounded)}`);
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
