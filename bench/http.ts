// What HTTP, router, batch former and memory manager can carry: behind the real front an engine that answers at once,
// before it as many clients as there are to be streams, and all of it on this machine.
import { cpuUsage } from "node:process";
import { Command } from "commander";
import { startChild } from "./support/child_server.ts";
import { streamCompletion } from "./support/completion_stream.ts";
import type { FrontLoad } from "./support/http_front.ts";
import { NumpyRandom } from "./support/numpy_random.ts";
import { percentiles } from "./support/percentile.ts";
import { notNegative, positive } from "./support/flags.ts";

const flags = new Command("bench http")
  .description("Tokens a second through HTTP and the actors, with an executor that answers at once")
  .option("--streams <count>", "streams at once", positive, 256)
  .option("--seconds <seconds>", "how long to measure, after a warm-up of a quarter", positive, 8)
  .option("--prompt-tokens <count>", "tokens of a prompt", positive, 32)
  .option(
    "--output-tokens <count>",
    "tokens of an answer, on average: of 1 to twice as many",
    positive,
    256,
  )
  .option("--step-ms <ms>", "how long the engine takes for a step", notNegative, 0)
  .option("--json <file>", "write the results there too")
  .parse(["deno", "http", ...Deno.args])
  .opts<{
    streams: number;
    seconds: number;
    promptTokens: number;
    outputTokens: number;
    stepMs: number;
    json?: string;
  }>();
const { streams, seconds } = flags;

const frontArgs = ["bench/support/http_front.ts", `${streams}`, `${flags.stepMs}`];
await using front = await startChild(["run", "-A", ...frontArgs]);
const frontLoad = async () => await (await fetch(`${front.url}/bench/load`)).json() as FrontLoad;
const ownCpu = () => {
  const { user, system } = cpuUsage();
  return (user + system) / 1e6;
};

let measuring = false;
let tokens = 0;
let requests = 0;
const firsts: number[] = [];
const failures = new Map<string, number>();
const over = new AbortController();

const random = new NumpyRandom(42);

/** One client after another, until all is over. */
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

const pause = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1000));
const clients = Array.from({ length: streams }, client);
await pause(seconds / 4);
await frontLoad();
const cpu = ownCpu();
requests = 0;
measuring = true;
const start = performance.now();
await pause(seconds);
const took = (performance.now() - start) / 1000;
measuring = false;
const { delay, cpuSeconds } = await frontLoad();
const generatorCpu = ownCpu() - cpu;
over.abort();
await Promise.all(clients);

const first = percentiles(firsts);
const results = {
  streams,
  seconds: took,
  tokensPerSecond: tokens / took,
  requestsPerSecond: requests / took,
  firstTokenMs: first,
  frontDelayMs: delay,
  cores: { front: cpuSeconds / took, generator: generatorCpu / took },
  failures: Object.fromEntries(failures),
};
console.log(
  `${streams} streams for ${took.toFixed(1)} s: ${results.tokensPerSecond.toFixed(0)} tokens/s, ` +
    `${results.requestsPerSecond.toFixed(1)} requests/s`,
);
console.log(`first token ms    p50 ${first.p50.toFixed(1)}  p99 ${first.p99.toFixed(1)}`);
console.log(
  `front's loop ms   p50 ${delay.p50.toFixed(1)}  p99 ${delay.p99.toFixed(1)}  max ${
    delay.max.toFixed(1)
  }`,
);
console.log(
  `cores             front ${results.cores.front.toFixed(2)}  load generator ${
    results.cores.generator.toFixed(2)
  }`,
);
for (const [why, count] of failures) console.log(`failed ${count} times: ${why}`);
if (flags.json) await Deno.writeTextFile(flags.json, JSON.stringify(results, null, 2) + "\n");
if (failures.size > 0 || tokens === 0) Deno.exitCode = 1;
