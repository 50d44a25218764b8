import { assertEquals } from "@std/assert";
import OpenAI from "openai";
import { z } from "zod";
import { startServer } from "../support/server.ts";

const Expected = z.object({
  models: z.record(z.string(), z.array(z.object({ word: z.string(), answer: z.string() }))),
});
const file = new URL("../../models/demo/expected.json", import.meta.url);
const { models } = Expected.parse(JSON.parse(Deno.readTextFileSync(file)));
const STREAMS = 32;
const WORDS = 20;

Deno.test("32 streams of mixed adapters and base answer 20 words each exactly as PEFT does", async () => {
  await using server = await startServer({ args: ["--max-running", String(STREAMS)] });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none", maxRetries: 0 });
  const names = Object.keys(models);
  const wrong: string[] = [];
  await Promise.all(Array.from({ length: STREAMS }, async (_, stream) => {
    for (let n = 0; n < WORDS; n++) {
      // Each stream changes its model with every word, so batches mix differently all the time.
      const model = names[(stream + n) % names.length] ?? "";
      const { word = "", answer = "" } = models[model]?.[(stream * 7 + n) % WORDS] ?? {};
      const chunks = await client.chat.completions.create({
        model,
        messages: [{ role: "user", content: word }],
        temperature: 0,
        max_tokens: 40,
        stream: true,
      });
      let text = "";
      for await (const chunk of chunks) text += chunk.choices[0]?.delta.content ?? "";
      if (text !== answer) wrong.push(`${model}(${word}) = ${text}, expected ${answer}`);
    }
  }));
  assertEquals(wrong, []);
});
