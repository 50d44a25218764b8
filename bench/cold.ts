// What an adapter costs that nobody has asked for since the server began: time to its first token beside that of a
// resident one, while other streams run, and what those notice of it.
import { Command, Option } from "commander";
import { cardState, watchCard } from "./support/clocks.ts";
import { streamCompletion } from "./support/completion_stream.ts";
import { notNegative, positive } from "./support/flags.ts";
import { percentiles } from "./support/percentile.ts";
import { row, title } from "./support/print_table.ts";
import { adapterName, modulesOf } from "./support/random_adapters.ts";
import { serveRandomModel } from "./support/served_model.ts";
import { metricsOf } from "./support/server_metrics.ts";

interface Flags {
  readonly shape?: "8b" | "tiny";
  readonly directory?: string;
  readonly streams?: number;
  readonly adapters?: number;
  readonly rank: number;
  readonly modules: string;
  readonly promptTokens: number;
  readonly pauseMs: number;
}

const SHAPES = {
  "8b": {
    streams: 32,
    adapters: 48,
    vocabulary: 128_256,
    streamTokens: 512,
    server: ["--pool-bytes", "24GiB", "--max-running", "64", "--max-model-len", "1024"],
  },
  tiny: {
    streams: 2,
    adapters: 4,
    vocabulary: 1024,
    streamTokens: 32,
    server: ["--pool-bytes", "64MiB", "--max-running", "4", "--max-model-len", "128"],
  },
} as const;

/** Warm and cold requests take turns in so many rounds, so that both see the same drift. */
const ROUNDS = 4;
const KINDS = ["warm", "cold"] as const;
type Kind = typeof KINDS[number];

/** What was seen while requests of one kind were sent; seconds. */
interface Seen {
  readonly firstToken: number[];
  readonly adapterWait: number[];
  /** Between tokens of the streams beside them. */
  readonly gaps: number[];
}

/** `args`: as on the command line. @throws {Error} where the server fails a request. */
export async function cold(args: readonly string[]): Promise<void> {
  const command = new Command("deno task bench cold")
    .description("Time to the first token of adapters that are not on the GPU, while streams run")
    .usage("[flags] [-- flags of deno task serve]")
    .argument("[server...]")
    .addOption(new Option("--shape <shape>", "random model to serve").choices(["8b", "tiny"]))
    .option("--directory <dir>", "where to write model and adapters (default: the temporary one)")
    .option("--streams <count>", "streams of a resident adapter beside them", positive)
    .option("--adapters <count>", "each is asked for once", positive)
    .option("--rank <rank>", "of each", positive, 8)
    .option("--modules <modules>", "q,k,v,o,gate,up,down or all", "q,k,v,o")
    .option("--prompt-tokens <count>", "of the requests that are timed", positive, 32)
    .option("--pause-ms <ms>", "before each", notNegative, 50)
    .parse([...args], { from: "user" });
  const flags = command.opts<Flags>();
  const shape = flags.shape ?? (await cardState() ? "8b" : "tiny");
  const { vocabulary, streamTokens, server: serverArgs, ...defaults } = SHAPES[shape];
  const { streams = defaults.streams, adapters = defaults.adapters } = flags;
  await using server = await serveRandomModel({
    tiny: shape === "tiny",
    // The first is resident, the second brings up what the first upload needs.
    adapters: { count: 2 + adapters, ranks: [flags.rank], modules: modulesOf(flags.modules) },
    directory: flags.directory,
    args: [...serverArgs, ...command.args],
  });
  const { url } = server;
  const seen: Record<Kind, Seen> = {
    warm: { firstToken: [], adapterWait: [], gaps: [] },
    cold: { firstToken: [], adapterWait: [], gaps: [] },
  };
  let kind: Kind | null = null;
  let asked = 0;
  const prompt = () => {
    const first = ++asked;
    const token = (_: unknown, i: number) => (first * 7919 + i * 104_729) % vocabulary;
    return Array.from({ length: flags.promptTokens }, token);
  };

  const time = async (adapter: number, into: Seen | null) => {
    await new Promise((resolve) => setTimeout(resolve, flags.pauseMs));
    const start = performance.now();
    let first: number | null = null;
    const request = { model: adapterName(adapter), prompt: prompt(), maxTokens: 4, timings: true };
    const { error, adapterMs } = await streamCompletion(url, request, () => {
      first ??= performance.now() - start;
    });
    if (error !== null || first === null) {
      throw new Error(`Cannot measure: the server said ${error}`);
    }
    into?.firstToken.push(first / 1000);
    into?.adapterWait.push((adapterMs ?? NaN) / 1000);
  };

  const over = new AbortController();
  const stream = async () => {
    while (!over.signal.aborted) {
      let last = 0;
      const request = { model: adapterName(0), prompt: prompt(), maxTokens: streamTokens };
      const { error } = await streamCompletion(url, request, () => {
        const now = performance.now();
        if (last > 0 && kind) seen[kind].gaps.push((now - last) / 1000);
        last = now;
      }, { signal: over.signal });
      if (error !== null && !over.signal.aborted) throw new Error(`Cannot measure: ${error}`);
    }
  };

  for (const adapter of [1, 0, 0]) await time(adapter, null);
  const running = Array.from({ length: streams }, stream);
  const watched = watchCard();
  for (let i = 0; i < 2 * streams; i++) await time(0, null); // all of them have begun, and clocks are up
  const before = await metricsOf(url);
  const share = Math.ceil(adapters / ROUNDS);
  for (let from = 0; from < adapters; from += share) {
    for (kind of KINDS) {
      for (let i = from; i < Math.min(adapters, from + share); i++) {
        await time(kind === "warm" ? 0 : 2 + i, seen[kind]);
      }
    }
  }
  kind = null;
  const after = await metricsOf(url);
  over.abort();
  await Promise.all(running);

  const ms = (seconds: readonly number[]) => {
    const { p50, p90, p99 } = percentiles(seconds);
    return [p50 * 1e3, p90 * 1e3, p99 * 1e3];
  };
  title(`${adapters} cold adapters beside ${streams} streams, ms`, ["p50", "p90", "p99"]);
  for (const kind of KINDS) row(`first token, ${kind}`, ms(seen[kind].firstToken));
  row("adapter wait, cold", ms(seen.cold.adapterWait));
  for (const kind of KINDS) row(`gap, with ${kind}`, ms(seen[kind].gaps));
  const delta = (name: string) => (after[name] ?? NaN) - (before[name] ?? NaN);
  const bytes = delta("chorus_adapter_upload_bytes_total") / delta("chorus_adapter_uploads_total");
  const rate = delta("chorus_adapter_upload_bytes_total") /
    delta("chorus_adapter_upload_seconds_total");
  const [warm, later] = KINDS.map((kind) => percentiles(seen[kind].firstToken).p50);
  const step = percentiles(seen.warm.gaps).p50;
  const bound = (warm ?? NaN) + 1.5 * bytes / rate + 2 * step;
  console.log(
    `\nan adapter is ${(bytes / 1e6).toFixed(2)} MB, uploads take ${
      (rate / 1e9).toFixed(2)
    } GB/s; ` +
      `warm + 1.5 uploads + 2 steps = ${(bound * 1e3).toFixed(2)} ms\n` +
      `first token, cold over that bound: ${((later ?? NaN) / bound).toFixed(2)}; ` +
      `streams' p99 gap, cold over warm: ${
        (percentiles(seen.cold.gaps).p99 / percentiles(seen.warm.gaps).p99).toFixed(2)
      }\n${await watched()}`,
  );
}

if (import.meta.main) await cold(Deno.args);
