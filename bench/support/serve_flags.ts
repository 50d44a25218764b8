import { Command, Option } from "commander";
import { notNegative, positive } from "./flags.ts";
import type { Popularity } from "./trace.ts";

/** The flags of `deno task bench serve`. */
export interface ServeFlags {
  readonly url?: string;
  readonly apiKey?: string;
  readonly vocab: number;
  readonly shape: "8b" | "tiny";
  readonly directory?: string;
  readonly adaptersCounts: readonly number[];
  readonly ranks: readonly number[];
  readonly modules: string;
  /** null: by the load that a closed loop reaches. */
  readonly rate: number | null;
  readonly load: number;
  readonly probeSeconds: number;
  readonly seconds: number;
  readonly limit: number;
  readonly cv: number;
  readonly popularity: Popularity;
  readonly promptTokens: readonly [number, number];
  readonly outputTokens: readonly [number, number];
  readonly seed: number;
  readonly slo: number;
  /** Closed loop with this many requests in flight; null: the trace's own times. */
  readonly concurrency: number | null;
  readonly out?: string;
  readonly plot?: string;
  /** For the server. */
  readonly serverArgs: readonly string[];
}

const rateOf = (text: string) => text === "auto" ? text : positive(text);
const numbers = (text: string) => text.split(",").map(notNegative);
function span(text: string): readonly [number, number] {
  const [least = 1, below = least + 1] = text.split("-").map(positive);
  return [least, below];
}

/** As commander gives them: what has a default of its own, and what depends on the shape. */
type Depends = "shape" | "adaptersCounts" | "seconds" | "limit" | "promptTokens" | "outputTokens";
type Given =
  & Omit<ServeFlags, Depends | "rate" | "concurrency" | "popularity" | "serverArgs">
  & Partial<Pick<ServeFlags, Depends>>
  & {
    readonly rate?: number | "auto";
    readonly concurrency?: number;
    readonly alpha: number;
    readonly zipf?: number;
    readonly permutation?: boolean;
    readonly roundRobin?: boolean;
  };

/** What a shape is served with unless the command line says otherwise, and the trace that suits it. */
const SHAPES = {
  "8b": {
    adapters: [100],
    rate: 10,
    seconds: 60,
    lengths: [8, 512],
    concurrency: 256,
    server: [
      ...["--pool-bytes", "48GiB", "--max-running", "256", "--max-batch-tokens", "2048"],
      ...["--max-model-len", "1536", "--max-queued", "100000"],
    ],
  },
  tiny: {
    adapters: [2],
    rate: 4,
    seconds: 2,
    lengths: [2, 8],
    concurrency: 4,
    server: ["--max-running", "4", "--max-model-len", "64", "--pool-bytes", "64MiB"],
  },
} as const;

/** @throws by ending the process, as commander does, where a flag is not valid. */
export function serveFlags(args: readonly string[], shapeHere: ServeFlags["shape"]): ServeFlags {
  const command = new Command("deno task bench serve")
    .description("S-LoRA's synthetic trace, or a closed loop, over HTTP")
    .usage("[flags] [-- flags of deno task serve]")
    .argument("[server...]")
    .option("--url <url>", "a running server; its adapters are used in the order of /v1/models")
    .option("--api-key <key>", "for that server")
    .option("--vocab <size>", "prompts for it are ids below this", positive, 256)
    .addOption(new Option("--shape <shape>", "random model to serve").choices(["8b", "tiny"]))
    .option("--directory <dir>", "where to write model and adapters (default: the temporary one)")
    .option("--adapters-counts <counts>", "a run for each, with adapters of its own", numbers)
    .option("--ranks <ranks>", "adapter i has the i-th of these, in turn", numbers, [8])
    .option("--modules <modules>", "q,k,v,o,gate,up,down or all", "q,k,v,o")
    .option(
      "--rate <rate>",
      "requests a second, or auto: --load times what a closed loop reaches",
      rateOf,
    )
    .option("--load <factor>", "see --rate auto", positive, 1.2)
    .option("--probe-seconds <seconds>", "length of that closed loop", positive, 30)
    .option("--seconds <seconds>", "length of the trace, or of --concurrency's loop", positive)
    .option(
      "--limit <seconds>",
      "when to give up what still runs (default: 3 x --seconds, at least 60)",
      positive,
    )
    .option("--cv <cv>", "coefficient of variation of the times between requests", positive, 1)
    .option("--alpha <alpha>", "power law over the adapters: 1 is uniform", positive, 1)
    .option("--zipf <exponent>", "Zipf's law over the adapters instead", positive)
    .option("--permutation", "adapters in turn, in permutations: all are touched")
    .option("--round-robin", "adapters in turn, in order")
    .option("--prompt-tokens <least-below>", "uniform", span)
    .option("--output-tokens <least-below>", "uniform", span)
    .option("--seed <seed>", "of the trace", notNegative, 42)
    .option("--slo <seconds>", "first token within", positive, 6)
    .option("--concurrency <requests>", "closed loop: so many in flight at all times", positive)
    .option("--out <file>", "write the results there as JSON")
    .option("--plot <file>", "write charts over the number of adapters there, as SVG")
    .parse([...args], { from: "user" });
  const o = command.opts<Given>();
  const shape = o.shape ?? shapeHere;
  const defaults = SHAPES[shape];
  const seconds = o.seconds ?? defaults.seconds;
  return {
    ...o,
    shape,
    adaptersCounts: o.adaptersCounts ?? defaults.adapters,
    rate: o.rate === "auto" ? null : o.rate ?? defaults.rate,
    seconds,
    limit: o.limit ?? Math.max(60, 3 * seconds),
    popularity: popularityOf(o),
    promptTokens: o.promptTokens ?? defaults.lengths,
    outputTokens: o.outputTokens ?? defaults.lengths,
    concurrency: o.concurrency ?? null,
    serverArgs: [...defaults.server, ...command.args],
  };
}

/** In flight while --rate auto looks for what the server can carry. */
export const probeConcurrency = (shape: ServeFlags["shape"]): number => SHAPES[shape].concurrency;

function popularityOf(o: Given): Popularity {
  if (o.roundRobin) return { kind: "round-robin" };
  if (o.permutation) return { kind: "permutation" };
  if (o.zipf !== undefined) return { kind: "zipf", exponent: o.zipf };
  return { kind: "power", alpha: o.alpha };
}
