import { assert, assertEquals, assertRejects } from "@std/assert";
import { LongPrompts } from "../../../actors/request_router/long_prompts.ts";
import { promptEncoder } from "../../../actors/request_router/prompt_encoder.ts";
import type { Prompt } from "../../../actors/request_router/protocol.ts";
import { ChatTemplate } from "../../../models/chat_template.ts";
import { Tokenizer } from "../../../models/tokenizer.ts";
import { tokenizerDirectory } from "../../support/tokenizer_goldens.ts";

const directory = tokenizerDirectory("llama3");
const near = promptEncoder(await Tokenizer.load(directory), await ChatTemplate.load(directory));
const long = "The quick brown fox jumps over the lazy dog, naïvely. ".repeat(400);
const text = (text: string): Prompt => ({ kind: "text", text });
const chat = (role: string): Prompt => ({ kind: "chat", messages: [{ role, content: long }] });

Deno.test("LongPrompts encodes short prompts at once and long ones elsewhere, to the same tokens", async () => {
  const prompts = new LongPrompts(near, directory);
  const short = prompts.encode(text("hello"));
  assert(!(short instanceof Promise));
  assertEquals(short, near.encode(text("hello")));
  const far = [text(long), chat("user"), text(long + "!")];
  const encodings = far.map((prompt) => prompts.encode(prompt));
  assert(encodings.every((encoding) => encoding instanceof Promise));
  assertEquals(await Promise.all(encodings), far.map((prompt) => near.encode(prompt)));
  const refused = await prompts.encode(chat("jester"));
  assert(refused.kind === "refused" && refused.failure.param === "messages");
  prompts.close();
});

Deno.test("LongPrompts leaves this thread free while it encodes", async () => {
  const prompts = new LongPrompts(near, directory);
  await prompts.encode(text(long));
  const book = text(long.repeat(10));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 2);
  const before = performance.now();
  await prompts.encode(book);
  const took = performance.now() - before;
  clearInterval(timer);
  assert(ticks > took / 20, `${ticks} ticks of 2 ms in ${took} ms`);
  prompts.close();
});

Deno.test("LongPrompts rejects what a Worker that cannot go on was to encode, and starts another", async () => {
  const prompts = new LongPrompts(near, "/nowhere");
  for (let time = 0; time < 2; time++) {
    await assertRejects(async () => await prompts.encode(text(long)), Error, "/nowhere");
  }
  const waiting = assertRejects(
    async () => await prompts.encode(text(long)),
    Error,
    "shutting down",
  );
  prompts.close();
  await waiting;
});
