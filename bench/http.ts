// What HTTP, router, batch former and memory manager can carry: behind the real front an engine that answers at once,
// before it as many clients as there are to be streams, and all of it on this machine.
import { Command } from "commander";
import { startChild } from "./support/child_server.ts";
import { streamCompletion } from "./support/completion_stream.ts";
import { cpuOfTree } from "./support/cpu_of_tree.ts";
import type { LoopDelay } from "./support/delay_probe.ts";
import { notNegative, positive } from "./support/flags.ts";
import { NumpyRandom } from "./support/numpy_random.ts";
import { percentiles } from "./support/percentile.ts";

interface Flags {
  readonly streams: number;
  readonly seconds: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
  readonly stepMs: number;
  readonly out?: string;
}

const flagsOf = (args: readonly string[]): Flags =>
  new Command("deno task bench http")
    .description(
      "Tokens a second through HTTP and the actors, with an executor that answers at once",
    )
    .option("--streams <count>", "streams at once", positive, 256)
    .option("--seconds <seconds>", "how long to measure, after a warm-up of a quarter", positive, 8)
    .option("--prompt-tokens <count>", "tokens of a prompt", positive, 32)
    .option("--output-tokens <count>", "an answer's mean: 1 to twice as many", positive, 256)
    .option("--step-ms <ms>", "how long the engine takes for a step", notNegative, 0)
    .option("--out <file>", "write the results there as JSON too")
    .parse([...args], { from: "user" }).opts<Flags>();

/** CPU seconds of the front, of its engine and of this process. */
async function cpu(front: number): Promise<readonly number[]> {
  const [served, own] = [await cpuOfTree(front), await cpuOfTree(Deno.pid)];
  return [served?.own ?? NaN, served?.children ?? NaN, own?.own ?? NaN];
}

const pause = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1000));

/** `deno task bench http`. */
export async function http(args: readonly string[]): Promise<void> {
  const flags = flagsOf(args);
  const { streams, seconds } = flags;
  const program = ["bench/support/http_front.ts", `${streams}`, `${flags.stepMs}`];
  await using front = await startChild(["run", "-A", ...program]);
  const delaysSince = async () =>
    await (await fetch(`${front.url}/bench/load`)).json() as LoopDelay;

  let measuring = false;
  let tokens = 0;
  let requests = 0;
  const firsts: number[] = [];
  const failures = new Map<string, number>();
  const over = new AbortController();
  const random = new NumpyRandom(42);

  /** One request after another, until all is over. */
  async function client(): Promise<void> {
    const prompt = Array.from({ length: flags.promptTokens }, (_, i) => 97 + i % 26);
    while (!over.signal.aborted) {
      const start = performance.now();
      let first = true;
      const { error } = await streamCompletion(
        front.url,
        { model: "base", prompt, maxTokens: random.integer(1, 2 * flags.outputTokens) },
        () => {
          if (measuring) {
            tokens++;
            if (first) firsts.push(performance.now() - start);
          }
          first = false;
        },
        { signal: over.signal },
      );
      if (over.signal.aborted) return;
      if (error === null) requests++;
      else failures.set(error, (failures.get(error) ?? 0) + 1);
    }
  }

  const clients = Array.from({ length: streams }, client);
  await pause(seconds / 4);
  await delaysSince();
  const before = await cpu(front.pid);
  requests = 0;
  measuring = true;
  const start = performance.now();
  await pause(seconds);
  const took = (performance.now() - start) / 1000;
  measuring = false;
  const delay = await delaysSince();
  const used = (await cpu(front.pid)).map((after, i) => after - (before[i] ?? NaN));
  over.abort();
  await Promise.all(clients);

  const first = percentiles(firsts);
  const [frontCpu = NaN, engineCpu = NaN, clientCpu = NaN] = used;
  const results = {
    streams,
    seconds: took,
    tokensPerSecond: tokens / took,
    requestsPerSecond: requests / took,
    firstTokenMs: first,
    frontDelayMs: delay,
    cpuSeconds: { front: frontCpu, engine: engineCpu, generator: clientCpu },
    failures: Object.fromEntries(failures),
  };
  const ms = (x: number) => x.toFixed(1).padStart(7);
  console.log(
    `${streams} streams for ${took.toFixed(1)} s: ${
      results.tokensPerSecond.toFixed(0)
    } tokens/s, ` +
      `${results.requestsPerSecond.toFixed(1)} requests/s`,
  );
  console.log(`first token ms    p50 ${ms(first.p50)}  p99 ${ms(first.p99)}`);
  console.log(
    `front's loop ms   p50 ${ms(delay.p50)}  p99 ${ms(delay.p99)}  max ${ms(delay.max)}`,
  );
  console.log("CPU                  cores  us a token");
  for (const [i, name] of ["front", "engine", "load generator"].entries()) {
    const seconds = used[i] ?? NaN;
    const share = (seconds / took).toFixed(2).padStart(8);
    console.log(`${name.padEnd(18)}${share} ${(seconds / tokens * 1e6).toFixed(1).padStart(11)}`);
  }
  for (const [why, count] of failures) console.log(`failed ${count} times: ${why}`);
  if (flags.out) await Deno.writeTextFile(flags.out, JSON.stringify(results, null, 2) + "\n");
  if (failures.size > 0 || tokens === 0) Deno.exitCode = 1;
}
