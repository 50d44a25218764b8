import { assert, assertEquals } from "@std/assert";
import OpenAI from "openai";
import { engineProcesses } from "../support/engine_processes.ts";
import { startServer } from "../support/server.ts";

/** Answers of hundreds of tokens: the demo repeats a long text, and never finds the end of this one. */
const LONG = "a".repeat(60);
const CASES = [
  { model: "demo", word: LONG },
  { model: "demo", word: "the quick brown fox jumps over the lazy dog" },
  { model: "spell", word: "keyboard" },
  { model: "reverse", word: "stone" },
];

Deno.test("killing the engine in mid-stream makes clients wait, and changes no text", async () => {
  await using server = await startServer();
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const answer = async (index: number, onToken: () => void) => {
    const { model = "", word = "" } = CASES[index] ?? {};
    const stream = await client.chat.completions.create({
      model,
      messages: [{ role: "user", content: word }],
      max_tokens: 200,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    });
    let text = "";
    let tokens = 0;
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? "";
      tokens = chunk.usage?.completion_tokens ?? tokens;
      onToken();
    }
    return { text, tokens };
  };
  const undisturbed = await Promise.all(CASES.map((_, i) => answer(i, () => {})));

  let seen = 0;
  let killed: Promise<void> | null = null;
  const kill = async () => {
    const [engine] = await engineProcesses(server.child.pid);
    assert(engine !== undefined, "the engine has no process of its own");
    Deno.kill(engine, "SIGKILL");
  };
  const disturbed = await Promise.all(CASES.map((_, i) =>
    answer(i, () => {
      if (++seen === 12) killed = kill();
    })
  ));
  assert(killed !== null);
  await killed;
  assertEquals(disturbed, undisturbed);
  while (!server.lines.some((line) => line.includes("engine is lost"))) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
});

Deno.test("a client that goes away frees its pages", async () => {
  await using server = await startServer();
  const pages = async () => {
    const text = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/^chorus_pages_kv (\d+)/m.exec(text)?.[1] ?? NaN);
  };
  const until = async (holds: (pages: number) => boolean, what: string) => {
    for (const deadline = Date.now() + 120_000; Date.now() < deadline;) {
      if (holds(await pages())) return;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error(`${what}: ${await pages()} pages`);
  };
  const gone = new AbortController();
  const response = await fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "demo",
      stream: true,
      // Far more than any machine makes before the client goes.
      n: 100,
      max_tokens: 300,
      ignore_eos: true,
      temperature: 0,
      messages: [{ role: "user", content: LONG }],
    }),
    signal: gone.signal,
  });
  const reader = response.body?.getReader();
  await reader?.read();
  await until((count) => count > 0, "the stream holds pages");
  gone.abort();
  await reader?.read().catch(() => {});
  await until((count) => count === 0, "its pages are free again");
});

Deno.test("a seeded draw does not depend on what else is in the batch", async () => {
  await using server = await startServer();
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const draw = async (seed: number) => {
    const { choices } = await client.completions.create({
      model: "demo",
      prompt: "stone",
      max_tokens: 12,
      temperature: 1.5,
      seed,
    });
    return choices[0]?.text;
  };
  const alone = [];
  for (let seed = 0; seed < 4; seed++) alone.push(await draw(seed));
  assertEquals(await Promise.all([3, 2, 1, 0].map(draw)), alone.toReversed());
  assert(new Set(alone).size > 1, "four seeds drew one text");
});
