// S-LoRA's tables from a simulation: the real batch former and memory manager, on a card that takes the time that
// steps were measured to take, beside the paper's numbers.
import { Command } from "commander";
import { POLICY_DEFAULTS, type PolicyName } from "../actors/policy_options.ts";
import { calibrate } from "./support/calibrate.ts";
import { positive } from "./support/flags.ts";
import { type LoadSummary, summarize } from "./support/load_summary.ts";
import {
  PAPER_OVER_ADAPTERS,
  PAPER_OVER_CV,
  PAPER_OVER_D,
  PAPER_OVER_RATE,
  PAPER_TABLE_3,
  PAPER_VTC_OVERLOAD,
} from "./support/paper_numbers.ts";
import {
  PAPER_SETTINGS,
  paperServer,
  type PaperSetting,
  paperTrace,
} from "./support/paper_settings.ts";
import { ownServer } from "./support/own_setting.ts";
import { row, title, WIDTH } from "./support/print_table.ts";
import { serviceGap } from "./support/service.ts";
import { simulate, type SimulatedRequest, type SimulatedRun } from "./support/simulation.ts";
import { syntheticTrace, type TraceOptions } from "./support/trace.ts";

const SLO = 6;
const { prices } = POLICY_DEFAULTS;
/** The VTC paper's pool, which is also the M of its bound, and its 256 and 256 tokens a request. */
const VTC_POOL = 10_000;
const VTC_TOKENS = 256;

interface Asked {
  readonly names?: readonly PolicyName[];
  readonly clusterAdapters?: number;
  readonly overCommit?: number | null;
  readonly uploadBytesPerStep?: number;
  readonly trace?: Partial<TraceOptions>;
  /** What clients allow, where it is not what they get. */
  readonly maxTokens?: number;
}

interface Result extends LoadSummary, Pick<SimulatedRun, "preemptions" | "uploads"> {
  /** Seconds. */
  readonly firstTokenMean: number;
}

function run(setting: PaperSetting, asked: Asked): Result {
  const { names = ["fcfs"], clusterAdapters = 8, overCommit = null, maxTokens } = asked;
  const { uploadBytesPerStep } = asked;
  const requests = syntheticTrace(paperTrace(setting, asked.trace))
    .map((request) => ({ ...request, ...(maxTokens !== undefined && { maxTokens }) }));
  const policy = { ...POLICY_DEFAULTS, names, clusterAdapters };
  const done = simulate(
    requests,
    paperServer(setting, {
      policy,
      overCommit,
      ...(uploadBytesPerStep !== undefined && { uploadBytesPerStep }),
    }),
  );
  const firsts = done.records.flatMap((record) => record.firstToken ?? []);
  const firstTokenMean = firsts.reduce((sum, time) => sum + time, 0) / firsts.length;
  const { preemptions, uploads } = done;
  return { ...summarize(done, SLO), preemptions, uploads, firstTokenMean };
}

/** `--tables` by name: each prints itself. */
const TABLES: Readonly<Record<string, (seconds?: number) => void>> = {
  adapters: (seconds) => {
    title("requests a second over adapters (FCFS)", ["ours", "paper"]);
    for (const [name, numbers] of Object.entries(PAPER_OVER_ADAPTERS)) {
      const setting = settingOf(name, seconds);
      for (const [n, paper] of Object.entries(numbers)) {
        const { requestsPerSecond } = run(setting, { trace: { adapters: Number(n) } });
        row(`${name} n=${n}`, [requestsPerSecond, paper], 3);
      }
    }
  },
  table3: (seconds = 120) => {
    title("requests a second over adapters (table 3)", ["ours", "paper"]);
    for (const [name, numbers] of Object.entries(PAPER_TABLE_3)) {
      for (const [n, paper] of Object.entries(numbers)) {
        const done = run(settingOf(name, seconds), { trace: { adapters: Number(n) } });
        row(`${name} n=${n}`, [done.requestsPerSecond, paper], 3);
      }
    }
  },
  rate: (seconds) => {
    title("S2 A10G, 200 adapters, over the rate: ours | paper", [
      "req/s",
      "first s",
      "attained",
      "req/s",
      "first s",
      "attained",
    ]);
    for (const rate of [1, 1.5, 2, 2.5]) {
      const paper = PAPER_OVER_RATE[rate] ?? [];
      const done = run(settingOf("S2 A10G", seconds), { trace: { rate } });
      row(`R=${rate}`, [
        done.requestsPerSecond,
        done.firstTokenMean,
        done.attainment,
        ...paper,
      ]);
    }
  },
  cv: (seconds) => {
    title("attainment and satisfaction over cv: ours | paper", [
      "FCFS",
      "",
      "abort",
      "",
      "FCFS",
      "",
      "abort",
      "",
    ]);
    for (const [name, { adapters, fcfs, abort }] of Object.entries(PAPER_OVER_CV)) {
      [1, 2, 4, 6, 8].forEach((cv, i) => {
        const ours = ([["fcfs"], ["abort"]] as const).flatMap((names) => {
          const done = run(settingOf(name, seconds), { names, trace: { cv, adapters } });
          return [done.attainment, done.satisfaction];
        });
        row(`${name} cv=${cv}`, [...ours, ...fcfs[i] ?? [], ...abort[i] ?? []]);
      });
    }
  },
  cluster: (seconds = 120) => {
    title("S4 A100-40, 32 adapters, over d: ours | paper", [
      "req/s",
      "attained",
      "uploads",
      "req/s",
      "attained",
    ]);
    for (const [d, paper] of Object.entries(PAPER_OVER_D)) {
      const setting = settingOf("S4 A100-40", seconds);
      const asked = { clusterAdapters: Number(d), trace: { adapters: 32 } };
      const done = run(setting, { names: ["cluster"], ...asked });
      row(`d=${d}`, [done.requestsPerSecond, done.attainment, done.uploads, ...paper]);
    }
  },
  policies: (seconds) => {
    title("S2 A10G, 200 adapters, R=2, every policy", [
      "req/s",
      "latency s",
      "first p50",
      "first p90",
      "attained",
      "satisf.",
      "given up",
    ]);
    for (
      const names of [
        ["fcfs"],
        ["abort"],
        ["cluster"],
        ["vtc"],
        ["vtc", "abort"],
        ["cluster", "abort"],
      ] as const
    ) {
      const done = run(settingOf("S2 A10G", seconds), { names });
      row(names.join(), [
        done.requestsPerSecond,
        done.latency,
        done.firstToken.p50,
        done.firstToken.p90,
        done.attainment,
        done.satisfaction,
        done.failed,
      ]);
    }
  },
  vtc: (seconds = 600) => {
    const bound = 2 * Math.max(prices.prompt * VTC_TOKENS, prices.output * VTC_POOL);
    title(`two tenants, 1.5 and 3 requests a second: service gap (bound ${bound})`, [
      "ours",
      "paper",
      "req/s",
    ]);
    (["fcfs", "vtc"] as const).forEach((name, i) => {
      const { gap, summary } = overload(name, seconds);
      row(name, [gap, PAPER_VTC_OVERLOAD[i] ?? NaN, summary.requestsPerSecond]);
    });
  },
  own: (seconds = 600) => {
    const heads = ["req/s", "of one", "first p50", "gap p99 ms", "uploads"];
    title("ours: 8B on the H200, r=8, 1.2 x saturation, adapters in permutations", heads);
    const runOwn = (rate: number, adapters: number, mebibytes: number) => {
      const popularity = { kind: "permutation" } as const;
      const trace = syntheticTrace(paperTrace({ rate, seconds }, { adapters, popularity }));
      const done = simulate(trace, ownServer(adapters, mebibytes * 2 ** 20));
      return { ...summarize(done, SLO), uploads: done.uploads };
    };
    const saturation = runOwn(20, 1, 16).requestsPerSecond;
    const rate = 1.2 * saturation;
    const one = runOwn(rate, 1, 16);
    for (const mebibytes of [16, 64]) {
      for (const adapters of [1, 200, 2000]) {
        const done = runOwn(rate, adapters, mebibytes);
        row(`n=${adapters} ${mebibytes}MiB`, [
          done.requestsPerSecond,
          done.requestsPerSecond / one.requestsPerSecond,
          done.firstToken.p50,
          done.interToken.p99 * 1000,
          done.uploads,
        ]);
      }
    }
  },
  uploads: (seconds) => {
    title("S4 A100-80, over --upload-bytes-per-step", ["n=1", "n=400", "abort, att."]);
    for (const mebibytes of [16, 32, 64, 128, 256]) {
      const setting = settingOf("S4 A100-80", seconds);
      const asked = { uploadBytesPerStep: mebibytes * 2 ** 20 };
      const [one, many] = [1, 400].map((adapters) =>
        run(setting, { ...asked, trace: { adapters } })
      );
      const abort = run(setting, { ...asked, names: ["abort"], trace: { adapters: 400 } });
      row(`${mebibytes}MiB`, [
        one?.requestsPerSecond ?? NaN,
        many?.requestsPerSecond ?? NaN,
        abort.attainment,
      ]);
    }
  },
  overcommit: (seconds) => {
    const heads = ["req/s", "first p50", "preempted"];
    title("S2 A10G over --over-commit: max_tokens as used | 2048", [...heads, ...heads]);
    for (const overCommit of [null, 1, 1.5, 2, 4, 8, 16, Infinity]) {
      const both = [undefined, 2048].flatMap((maxTokens) => {
        const asked = { overCommit, ...(maxTokens !== undefined && { maxTokens }) };
        const done = run(settingOf("S2 A10G", seconds), asked);
        return [done.requestsPerSecond, done.firstToken.p50, done.preemptions];
      });
      row(`${overCommit ?? "auto"}`, both);
    }
  },
};

function overload(name: PolicyName, seconds: number) {
  const even = (tenant: string, rate: number): SimulatedRequest[] =>
    Array.from({ length: Math.floor(rate * seconds) }, (_, i) => ({
      at: i / rate,
      adapter: null,
      tenant,
      promptTokens: VTC_TOKENS,
      outputTokens: VTC_TOKENS,
    }));
  const trace = [...even("a", 1.5), ...even("b", 3)].sort((a, b) => a.at - b.at);
  const setting = { ...PAPER_SETTINGS["S2 A10G"], poolTokens: VTC_POOL };
  const policy = { ...POLICY_DEFAULTS, names: [name] };
  const done = simulate(trace, paperServer(setting, { policy }));
  const of = (tenant: string) => done.records.filter((_, i) => trace[i]?.tenant === tenant);
  const gap = serviceGap(of("a"), of("b"), prices, seconds);
  return { gap, summary: summarize(done, SLO) };
}

const settingOf = (name: string, seconds?: number): PaperSetting => {
  const setting: PaperSetting = PAPER_SETTINGS[name as keyof typeof PAPER_SETTINGS];
  return { ...setting, seconds: seconds ?? setting.seconds };
};

/** `deno task bench simulate`. */
export function simulateTables(args: string[]): void {
  const command = new Command("simulate")
    .description("S-LoRA's tables, simulated on measured step times, beside the paper's numbers")
    .option("--tables <names>", `out of ${Object.keys(TABLES).join(",")}`)
    .option("--seconds <seconds>", "length of every trace (default: the paper's)", positive)
    .option("--calibrate", "find again how much slower the paper's cards are than ours");
  command.parse(args, { from: "user" });
  const flags = command.opts<{ tables?: string; seconds?: number; calibrate?: boolean }>();
  if (flags.calibrate) {
    for (const setting of Object.values(PAPER_SETTINGS)) {
      console.log(`${setting.name.padEnd(WIDTH)}${calibrate(setting).toFixed(3)}`);
    }
    return;
  }
  const names = flags.tables?.split(",") ?? Object.keys(TABLES);
  for (const name of names) {
    const table = TABLES[name];
    if (!table) throw new RangeError(`Cannot print tables: there is no such one, received ${name}`);
    table(flags.seconds);
  }
}
