import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import OpenAI from "openai";
import { loadModelConfig } from "../../models/parse_config.ts";
import { goldenModel, textOf } from "../support/golden_model.ts";
import { ARCHITECTURES, goldens } from "../support/goldens.ts";
import { startServer } from "../support/server.ts";

// Each row was computed alone by transformers + PEFT; here all variants share batches, over HTTP.
const settings = [
  { name: "unchunked", args: ["--max-batch-tokens", "512"] },
  // Prompts in pieces, and a pool so small that adapters and sequences push each other out of it.
  {
    name: "chunked, under memory pressure",
    args: ["--max-batch-tokens", "16", "--max-running", "8"],
    small: true,
  },
];

for (const architecture of ARCHITECTURES) {
  const golden = goldens(architecture);
  for (const { name, args, small } of settings) {
    Deno.test(`${architecture} over HTTP, ${name}: alone and together, greedy tokens equal PEFT's (vLLM #6250, llama.cpp #9065)`, async () => {
      const config = await loadModelConfig(golden.directory);
      await using model = await goldenModel(architecture, config.vocabSize);
      await using server = await startServer({
        args: [
          ...["--model", model.directory, "--name", "base"],
          ...["--adapters", `${golden.directory}/adapters`],
          ...["--max-model-len", "256", "--pool-bytes", small ? poolFor(config.layers) : "64MiB"],
          ...args,
        ],
      });
      const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
      const complete = async (model: string, prompt: readonly number[]) => {
        const stream = await client.completions.create({
          model,
          prompt: [...prompt],
          max_tokens: golden.steps,
          temperature: 0,
          stream: true,
        });
        let text = "";
        for await (const chunk of stream) text += chunk.choices[0]?.text ?? "";
        return text;
      };
      const cases = Object.entries(golden.cases).flatMap(([variant, { adapter, prompts }]) =>
        prompts.map(({ prompt, tokens }) => ({
          variant,
          model: adapter === null ? "base" : adapter.replace("adapters/", ""),
          prompt,
          expected: textOf(tokens),
        }))
      );
      const together = await Promise.all(cases.map(({ model, prompt }) => complete(model, prompt)));
      cases.forEach(({ variant, expected }, i) => assertEquals(together[i], expected, variant));
      if (small) {
        const metrics = await (await fetch(`${server.url}/metrics`)).text();
        const [, resident = ""] = /^chorus_adapters_resident (\d+)/m.exec(metrics) ?? [];
        assert(Number(resident) < Object.keys(golden.cases).length - 1, "nothing was evicted");
      } else {
        // Teacher-forced over HTTP: the echoed text's log probabilities are those of PEFT's logits.
        for (const [variant, { adapter, prompts, logits }] of Object.entries(golden.cases)) {
          const { prompt = [], tokens = [] } = prompts[logits.prompt] ?? {};
          const text = [...prompt, ...tokens];
          const { choices, usage } = await client.completions.create({
            model: adapter === null ? "base" : adapter.replace("adapters/", ""),
            prompt: text,
            max_tokens: 0,
            temperature: 0,
            echo: true,
            logprobs: 0,
          });
          assertEquals(usage?.completion_tokens, 0);
          const seen = choices[0]?.logprobs?.token_logprobs ?? [];
          for (const position of logits.positions) {
            const next = text[position + 1];
            if (next === undefined) continue;
            const expected = logProbability(golden.logits(variant, logits.prompt, position), next);
            assertAlmostEquals(
              seen[position + 1] ?? NaN,
              expected,
              0.02,
              `${variant} at ${position}`,
            );
          }
        }
      }
      // One prompt of each variant alone, the longest where it comes in pieces: the batch's other rows must not have
      // mattered.
      const seen = new Set<string>();
      for (const { variant, model, prompt, expected } of small ? cases.toReversed() : cases) {
        if (seen.has(variant)) continue;
        seen.add(variant);
        assertEquals(await complete(model, prompt), expected, `${variant} alone`);
      }
    });
  }
}

/** log softmax(logits)[token]. */
function logProbability(logits: Float32Array, token: number): number {
  const most = logits.reduce((a, b) => Math.max(a, b));
  const sum = logits.reduce((all, value) => all + Math.exp(value - most), 0);
  return (logits[token] ?? NaN) - most - Math.log(sum);
}

/** Room for about three of these tiny sequences and the largest adapter. */
const poolFor = (layers: number) => String(layers * 4096 * 110);
