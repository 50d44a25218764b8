// S-LoRA's tables from a simulation: the real batch former and memory manager, on a card that takes the time that
// steps were measured to take, beside the paper's numbers.
import { Command } from "commander";
import { POLICY_DEFAULTS, type PolicyName } from "../actors/policy_options.ts";
import { calibrate } from "./support/calibrate.ts";
import { positive } from "./support/flags.ts";
import { type LoadSummary, summarize } from "./support/load_summary.ts";
import {
  CVS,
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
import { simulate, type SimulatedRun } from "./support/simulation.ts";
import { syntheticTrace, type TraceOptions } from "./support/trace.ts";
import { overload, OVERLOAD_BOUND } from "./support/vtc_overload.ts";

const SLO = 6;
const TABLE_3_RATE = 10;
/** Under `priority` every so many-th request is of an earlier class. */
const URGENT_EVERY = 4;
interface Asked {
  readonly names?: readonly PolicyName[];
  readonly clusterAdapters?: number;
  readonly overCommit?: number | null;
  readonly uploadBytesPerStep?: number;
  readonly trace?: Partial<TraceOptions>;
  /** What clients allow, where it is not what they get. */
  readonly maxTokens?: number;
  /** To tell of the requests of the earlier class alone. */
  readonly urgent?: boolean;
}

interface Result extends LoadSummary, Pick<SimulatedRun, "preemptions" | "uploads"> {
  /** Seconds. */
  readonly firstTokenMean: number;
}

function run(setting: PaperSetting, asked: Asked): Result {
  const { names = ["fcfs"], clusterAdapters = 8, overCommit = null, maxTokens } = asked;
  const { uploadBytesPerStep, urgent = false } = asked;
  const requests = syntheticTrace(paperTrace(setting, asked.trace))
    .map((request, i) => ({
      ...request,
      ...(i % URGENT_EVERY === 0 && { priority: -1 }),
      ...(maxTokens !== undefined && { maxTokens }),
    }));
  const policy = { ...POLICY_DEFAULTS, names, clusterAdapters };
  const all = simulate(
    requests,
    paperServer(setting, {
      policy,
      overCommit,
      ...(uploadBytesPerStep !== undefined && { uploadBytesPerStep }),
    }),
  );
  const some = all.records.filter((_, i) => !urgent || i % URGENT_EVERY === 0);
  const done = { ...all, records: some };
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
        const trace = { adapters: Number(n), rate: TABLE_3_RATE };
        const done = run(settingOf(name, seconds), { trace });
        row(`${name} n=${n}`, [done.requestsPerSecond, paper], 3);
      }
    }
  },
  rate: (seconds) => {
    title("over the rate: ours | paper", [
      "req/s",
      "first s",
      "attained",
      "req/s",
      "first s",
      "attained",
    ]);
    for (const [name, { adapters, rates }] of Object.entries(PAPER_OVER_RATE)) {
      for (const [rate, ...paper] of rates) {
        const done = run(settingOf(name, seconds), { trace: { rate, adapters } });
        const ours = [done.requestsPerSecond, done.firstTokenMean, done.attainment];
        row(`${name} R=${rate}`, [...ours, ...paper]);
      }
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
      CVS.forEach((cv, i) => {
        const ours = ([["fcfs"], ["abort"]] as const).flatMap((names) => {
          const done = run(settingOf(name, seconds), { names, trace: { cv, adapters } });
          return [done.attainment, done.satisfaction];
        });
        const unknown = [NaN, NaN] as const;
        const paper = [fcfs[i], abort[i]].flatMap((pair) => pair?.length ? pair : unknown);
        row(`${name} cv=${cv}`, [...ours, ...paper]);
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
    const each: readonly (readonly PolicyName[])[] = [
      ["fcfs"],
      ["abort"],
      ["cluster"],
      ["vtc"],
      ["vtc", "abort"],
      ["cluster", "abort"],
      ["priority"],
    ];
    const rows = each.map((names) => ({ name: names.join(), asked: { names } }));
    const first = {
      name: "its first class",
      asked: { names: ["priority"], urgent: true },
    } as const;
    for (const { name, asked } of [...rows, first]) {
      const done = run(settingOf("S2 A10G", seconds), asked);
      row(name, [
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
    title(`two tenants, 1.5 and 3 requests a second: service gap (bound ${OVERLOAD_BOUND})`, [
      "ours",
      "paper",
      "req/s",
    ]);
    (["fcfs", "vtc"] as const).forEach((name, i) => {
      const { gap, requestsPerSecond } = overload(name, seconds);
      row(name, [gap, PAPER_VTC_OVERLOAD[i] ?? NaN, requestsPerSecond]);
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
