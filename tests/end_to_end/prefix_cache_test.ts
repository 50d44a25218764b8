import { assertEquals } from "@std/assert";
import OpenAI from "openai";
import { loadModelConfig } from "../../models/parse_config.ts";
import { goldenModel, textOf } from "../support/golden_model.ts";
import { goldens } from "../support/goldens.ts";
import { startServer, type TestServer } from "../support/server.ts";

const BLOCK = 16;

interface Asked {
  readonly model: string;
  readonly prompt: readonly number[] | string;
  readonly cache_salt?: string;
}

async function complete({ url }: TestServer, asked: Asked, maxTokens = 16) {
  const response = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ...asked, max_tokens: maxTokens, temperature: 0, ignore_eos: true }),
  });
  const { choices, usage } = await response.json() as OpenAI.Completion;
  const cached = usage?.prompt_tokens_details?.cached_tokens;
  return { text: choices[0]?.text, cached, prompt: usage?.prompt_tokens ?? NaN };
}

/** Values of the metrics whose name says `prefix`. */
async function prefixMetrics({ url }: TestServer): Promise<Record<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Object.fromEntries(
    [...text.matchAll(/^(\S*prefix\S*) (\d+)/gm)].map((
      [, name = "", value],
    ) => [name, +(value ?? NaN)]),
  );
}

Deno.test("the golden prompts, asked again and continued, give PEFT's tokens from cached blocks", async () => {
  const golden = goldens("qwen3");
  const config = await loadModelConfig(golden.directory);
  await using model = await goldenModel("qwen3", config.vocabSize);
  await using server = await startServer({
    args: [
      ...["--model", model.directory, "--name", "base", "--max-model-len", "256"],
      ...["--adapters", `${golden.directory}/adapters`, "--pool-bytes", "64MiB"],
    ],
  });
  let found = 0;
  for (const variant of ["base", "all_linear", "dora", "embed_head"]) {
    const { adapter = null, prompts = [] } = golden.cases[variant] ?? {};
    const name = adapter === null ? "base" : adapter.replace("adapters/", "");
    for (const { prompt, tokens } of prompts.slice(-1)) {
      const whole = [...prompt, ...tokens];
      for (const length of [prompt.length, prompt.length, whole.length - 2]) {
        const asked = { model: name, prompt: whole.slice(0, length) };
        const { text, cached = NaN } = await complete(server, asked, whole.length - length);
        assertEquals(
          text,
          textOf(whole.slice(length)),
          `${name}, ${length} tokens, ${cached} cached`,
        );
        found += cached;
      }
    }
  }
  assertEquals(found, 4 * (0 + 32 + 96)); // of 40 twice, and of 102 with what was generated;
});

Deno.test("greedy answers are the same with and without the cache; base, adapters and salts never share (SGLang #1921)", async () => {
  const context = "the quick brown fox jumps over the lazy dog and runs away from it ".repeat(3);
  const plain = ["demo", "reverse", "demo", "reverse", "spell", "demo"].map((model, i) => ({
    model,
    prompt: context + "abcdef"[i],
  }));
  const salted = ["blue", "red", "blue"].map((cache_salt) => ({ ...plain[0], cache_salt }));
  const asked = [...plain, ...salted] as Asked[];
  const answers = async (mode: string) => {
    await using server = await startServer({ args: ["--prefix-cache", mode] });
    const all = [];
    for (const each of asked) all.push(await complete(server, each));
    const echoed = await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...plain[0], max_tokens: 1, echo: true, logprobs: 0 }),
    });
    const { usage } = await echoed.json() as OpenAI.Completion;
    assertEquals(
      usage?.prompt_tokens_details?.cached_tokens,
      0,
      "every prompt token's logits were wanted",
    );
    const tokens = all.reduce((sum, { prompt }) => sum + prompt, usage?.prompt_tokens ?? NaN);
    let metrics = await prefixMetrics(server);
    // The engine tells its load some time after its tokens.
    while (metrics.chorus_prefix_query_tokens_total !== tokens) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      metrics = await prefixMetrics(server);
    }
    return { all, metrics };
  };
  const [on, off] = [await answers("on"), await answers("off")];
  assertEquals(on.all.map(({ text }) => text), off.all.map(({ text }) => text));
  const { prompt } = on.all[0] ?? { prompt: NaN };
  const all = Math.floor((prompt - 1) / BLOCK) * BLOCK;
  assertEquals(on.all.map(({ cached }) => cached), [0, 0, all, all, 0, all, 0, 0, all]);
  assertEquals(off.all.map(({ cached }) => cached), asked.map(() => 0));
  assertEquals(on.metrics, {
    "vllm:prefix_cache_queries_total": 10 * prompt,
    "vllm:prefix_cache_hits_total": 4 * all,
    chorus_prefix_query_tokens_total: 10 * prompt,
    chorus_prefix_hit_tokens_total: 4 * all,
  });
  assertEquals(off.metrics["vllm:prefix_cache_hits_total"], 0);
});
