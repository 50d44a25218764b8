// What the prefix cache saves: a long context per adapter, asked about again and again, over HTTP.
import { Command } from "commander";
import { startChild } from "./support/child_server.ts";
import { positive } from "./support/flags.ts";
import { NumpyRandom } from "./support/numpy_random.ts";

interface Flags {
  readonly url?: string;
  readonly models: readonly string[];
  readonly contexts: readonly number[];
  readonly question: number;
  readonly rounds: number;
  readonly vocabulary: number;
}

interface Answer {
  readonly ms: number;
  readonly cached: number;
}

const list = (text: string) => text.split(",");

/** One token for `prompt`, so that the answer's time is the time to the first token. @throws {Error} */
async function firstToken(url: string, model: string, prompt: readonly number[]): Promise<Answer> {
  const start = performance.now();
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, prompt, max_tokens: 1, temperature: 0, ignore_eos: true }),
  });
  if (!response.ok) throw new Error(`Cannot measure: the server said ${await response.text()}`);
  const { usage } = await response.json();
  return { ms: performance.now() - start, cached: usage.prompt_tokens_details.cached_tokens };
}

/** `ms = fixed + perToken * tokens`, by least squares. */
function fitLine(points: readonly { readonly tokens: number; readonly ms: number }[]) {
  const mean = (of: (point: typeof points[number]) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length;
  const [tokens, ms] = [mean((point) => point.tokens), mean((point) => point.ms)];
  const covariance = mean((point) => (point.tokens - tokens) * (point.ms - ms));
  const perToken = covariance / mean((point) => (point.tokens - tokens) ** 2);
  return { fixed: ms - perToken * tokens, perToken };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/**
 * Prints time to the first token of contexts seen and not seen before, beside what a line through the unseen
 * ones (time over tokens computed) predicts for the tokens that were left. `args`: as on the command line.
 */
export async function prefix(args: readonly string[]): Promise<void> {
  const flags = new Command("bench prefix")
    .description("Time to the first token on contexts that the prefix cache knows")
    .option("--url <url>", "a server to measure (default: one of its own, with the demo model)")
    .option("--models <names>", "asked in turn", list, ["reverse", "spell", "upper"])
    .option("--contexts <tokens>", "lengths", (s: string) => list(s).map(positive), [64, 192, 448])
    .option("--question <tokens>", "tokens after the context", positive, 24)
    .option("--rounds <count>", "contexts of each length", positive, 9)
    .option("--vocabulary <size>", "token ids are drawn from 0 to this", positive, 256)
    .parse(["deno", "prefix", ...args])
    .opts<Flags>();
  await using server = flags.url === undefined
    ? await startChild(["run", "-A", "main.ts", "--port", "0"])
    : null;
  const url = flags.url ?? server?.url ?? "";
  const random = new NumpyRandom(42);
  const draw = (count: number) =>
    Array.from({ length: count }, () => random.integer(0, flags.vocabulary));
  const results = new Map(flags.contexts.map((context) => [context, {
    cold: [] as Answer[],
    warm: [] as Answer[],
  }]));
  for (let round = -1; round < flags.rounds; round++) {
    const model = flags.models[(round + 1) % flags.models.length] ?? "";
    for (const [length, { cold, warm }] of results) {
      const context = draw(length);
      const first = await firstToken(url, model, [...context, ...draw(flags.question)]);
      const again = await firstToken(url, model, [...context, ...draw(flags.question)]);
      if (round < 0) continue; // adapters are loaded and pipelines made
      cold.push(first);
      warm.push(again);
    }
  }
  const points = [...results].map(([context, { cold }]) => ({
    tokens: context + flags.question,
    ms: median(cold.map(({ ms }) => ms)),
  }));
  const { fixed, perToken } = fitLine(points);
  const rows = [...results].map(([context, { cold, warm }]) => {
    const hit = median(warm.map(({ cached }) => cached));
    return {
      context,
      hit,
      "cold ms": median(cold.map(({ ms }) => ms)),
      "warm ms": median(warm.map(({ ms }) => ms)),
      "predicted ms": fixed + perToken * (context + flags.question - hit),
    };
  });
  console.log(`${fixed.toFixed(1)} ms + ${perToken.toFixed(3)} ms a token computed`);
  console.log(["context", "hit", "cold ms", "warm ms", "predicted ms"].join("\t"));
  for (const row of rows) {
    console.log(
      Object.values(row).map((value) => value.toFixed(Number.isInteger(value) ? 0 : 1)).join("\t"),
    );
  }
}

if (import.meta.main) await prefix(Deno.args);
