// The served engine under load: S-LoRA's synthetic trace (open loop) or so many requests at all times (closed loop),
// once for each number of adapters, each time with adapters that no run before has warmed.
import { cardState, watchCard } from "./support/clocks.ts";
import { closedLoop, type LoadTarget, openLoop } from "./support/offered_load.ts";
import { type LoadSummary, saturation, summarize } from "./support/load_summary.ts";
import { memoryLine, metricsOf, stepLine } from "./support/server_metrics.ts";
import { modulesOf } from "./support/random_adapters.ts";
import { probeConcurrency, type ServeFlags, serveFlags } from "./support/serve_flags.ts";
import { serveRandomModel } from "./support/served_model.ts";
import { syntheticTrace, type TraceRequest } from "./support/trace.ts";

/** A run with so many adapters. */
export interface ServeRow extends LoadSummary {
  readonly adapters: number;
  /** Requests a second that were offered; null in a closed loop. */
  readonly rate: number | null;
  readonly clocks: string;
  /** Steps and their parts, in words. */
  readonly steps: string;
  readonly metrics: Readonly<Record<string, number>>;
}

/** `deno task bench serve`; what it printed, as numbers. */
export async function serve(args: readonly string[]): Promise<ServeRow[]> {
  const flags = serveFlags(args, await cardState() ? "8b" : "tiny");
  if (flags.url !== undefined) return await measure(flags, flags.url, flags.vocab);
  const count = flags.adaptersCounts.reduce((sum, n) => sum + n, 0);
  const tiny = flags.shape === "tiny";
  await using server = await serveRandomModel({
    tiny,
    adapters: { count, ranks: flags.ranks, modules: modulesOf(flags.modules) },
    directory: flags.directory,
    args: flags.serverArgs,
  });
  console.log(`made ${flags.shape} and ${count} adapters in ${server.made.toFixed(1)} s`);
  console.log(`served after ${server.started.toFixed(1)} s: ${ready(server.lines)}`);
  return await measure(flags, server.url, tiny ? 1024 : 128_256);
}

const ready = (lines: readonly string[]) => lines.find((line) => line.startsWith("Ready on")) ?? "";

async function measure(flags: ServeFlags, url: string, vocabSize: number): Promise<ServeRow[]> {
  const names = await adapterNames(url, flags.apiKey);
  const { apiKey, limit, slo } = flags;
  let from = 0;
  let rate = flags.rate;
  const rows: ServeRow[] = [];
  for (const adapters of flags.adaptersCounts) {
    const own = names.adapters.slice(from, from + adapters);
    if (own.length < adapters) {
      throw new RangeError(
        `Cannot measure: ${url} has ${names.adapters.length} adapters, received ${flags.adaptersCounts}`,
      );
    }
    from += adapters;
    const target: LoadTarget = {
      url,
      apiKey,
      model: (adapter) => own[adapter ?? -1] ?? names.base,
      vocabSize,
      limit,
    };
    await closedLoop(warmUp(own.length), { concurrency: 2, seconds: 1 }, target);
    if (flags.concurrency === null && rate === null) rate = await probe(flags, adapters, target);
    const { concurrency, seconds } = flags;
    const watched = watchCard();
    const before = await metricsOf(url, apiKey);
    const run = concurrency === null
      ? await openLoop(trace(flags, adapters, rate ?? 1), target)
      : await closedLoop(trace(flags, adapters, 1000), { concurrency, seconds }, target);
    const metrics = await metricsOf(url, apiKey);
    const summary = summarize(run, slo);
    rows.push({
      adapters,
      rate: concurrency === null ? rate : null,
      ...summary,
      clocks: await watched(),
      steps: stepLine(before, metrics, summary.seconds),
      metrics,
    });
    if (rows.length === 1) console.log(HEADER);
    console.log(rows.slice(-1).map(line).join(""));
  }
  for (const { adapters, failures } of rows) {
    for (const [why, count] of Object.entries(failures)) {
      console.log(`${adapters} adapters: ${count} failed: ${why}`);
    }
  }
  for (const { adapters, metrics, steps, clocks } of rows) {
    console.log(`${adapters} adapters: ${steps}; ${memoryLine(metrics)}; ${clocks}`);
  }
  if (flags.out) {
    const { apiKey: _, ...told } = flags;
    await Deno.writeTextFile(flags.out, JSON.stringify({ flags: told, rows }, null, 2) + "\n");
  }
  if (flags.plot) {
    const { loadChart } = await import("./support/load_chart.ts");
    await Deno.writeTextFile(flags.plot, loadChart(rows));
  }
  if (rows.some(({ completed }) => completed === 0)) Deno.exitCode = 1;
  return rows;
}

/** The base model alone: pipelines, pages and this process's code are warm after it, adapters are not. */
const warmUp = (seed: number): TraceRequest[] =>
  Array.from({ length: 8 }, (_, i) => ({
    at: 0,
    adapter: null,
    promptTokens: 2 + (seed + i) % 8,
    outputTokens: 8,
  }));

const trace = (flags: ServeFlags, adapters: number, rate: number): TraceRequest[] =>
  syntheticTrace({ ...flags, adapters, rate });

/** `--load` times the requests a second that the server completes when it always has enough of them. */
async function probe(flags: ServeFlags, adapters: number, target: LoadTarget): Promise<number> {
  const { probeSeconds: seconds, load, shape } = flags;
  const concurrency = flags.concurrency ?? probeConcurrency(shape);
  const run = await closedLoop(trace(flags, adapters, 1000), { concurrency, seconds }, target);
  const most = saturation(run, seconds);
  console.log(
    `saturated at ${
      most.toFixed(2)
    } requests/s with ${adapters} adapters and ${concurrency} in flight: ` +
      `${load} x that is ${(load * most).toFixed(2)}`,
  );
  return load * most;
}

async function adapterNames(
  url: string,
  apiKey: string | undefined,
): Promise<{ base: string; adapters: string[] }> {
  const headers = apiKey === undefined ? undefined : { authorization: `Bearer ${apiKey}` };
  const response = await fetch(`${url}/v1/models`, headers && { headers });
  if (!response.ok) {
    throw new Error(
      `Cannot list models of ${url}: received ${response.status} ${await response.text()}`,
    );
  }
  const { data } = await response.json() as { data: { id: string; parent?: string | null }[] };
  const base = data.find(({ parent }) => !parent)?.id ?? "base";
  return { base, adapters: data.filter(({ id }) => id !== base).map(({ id }) => id) };
}

const HEADER =
  "adapters touched   rate  req/s  tok/s  TTFT s p50    p90    p99  ITL ms p50   p90    p99  " +
  "in SLO  failed";

function line(row: ServeRow): string {
  const { firstToken: ttft, interToken: itl } = row;
  const put = (value: number, digits: number, width: number) =>
    value.toFixed(digits).padStart(width);
  return [
    put(row.adapters, 0, 8),
    put(row.adaptersTouched, 0, 7),
    row.rate === null ? "closed" : put(row.rate, 2, 6),
    put(row.requestsPerSecond, 2, 6),
    put(row.outputTokensPerSecond, 0, 6),
    put(ttft.p50, 3, 11),
    put(ttft.p90, 3, 6),
    put(ttft.p99, 3, 6),
    put(itl.p50 * 1000, 1, 11),
    put(itl.p90 * 1000, 1, 5),
    put(itl.p99 * 1000, 1, 6),
    put(row.attainment, 3, 7),
    put(row.failed, 0, 7),
  ].join(" ");
}
