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
  /** Prompt tokens that were not. */
  readonly computed: number;
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
  const cached = usage.prompt_tokens_details.cached_tokens;
  return { ms: performance.now() - start, cached, computed: usage.prompt_tokens - cached };
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

/**
 * Prints time to the first token of contexts not seen and seen before, and what the hit predicts for the
 * latter: the time of an unseen prompt of as many tokens as were left to compute. `args`: as on the command line.
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
  const results = flags.contexts.map((context) => ({
    context,
    cold: [] as Answer[],
    warm: [] as Answer[],
    left: [] as Answer[],
  }));
  for (let round = -1; round < flags.rounds; round++) {
    const model = flags.models[(round + 1) % flags.models.length] ?? "";
    for (const { context: length, cold, warm, left } of results) {
      const context = draw(length);
      const first = await firstToken(url, model, [...context, ...draw(flags.question)]);
      const again = await firstToken(url, model, [...context, ...draw(flags.question)]);
      const rest = draw(length + flags.question - again.cached);
      const alone = await firstToken(url, model, rest);
      if (round < 0) continue; // pipelines and adapters are made ready
      cold.push(first);
      warm.push(again);
      left.push(alone);
    }
  }
  console.log("context\thit\tcold ms\twarm ms\tpredicted ms\tcold tokens\twarm tokens");
  for (const { context, cold, warm, left } of results) {
    const hit = median(warm.map(({ cached }) => cached));
    const times = [cold, warm, left].map((all) => median(all.map(({ ms }) => ms)).toFixed(1));
    const tokens = [cold, warm].map((all) => median(all.map(({ computed }) => computed)));
    console.log([context, hit, ...times, ...tokens].join("\t"));
  }
}

if (import.meta.main) await prefix(Deno.args);
