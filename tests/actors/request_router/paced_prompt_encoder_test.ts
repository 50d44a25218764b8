import { assert, assertEquals, assertRejects } from "@std/assert";
import { PacedPromptEncoder } from "../../../actors/request_router/paced_prompt_encoder.ts";
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

Deno.test("PacedPromptEncoder encodes short prompts at once and long ones elsewhere, to the same tokens", async () => {
  const prompts = new PacedPromptEncoder(near, directory);
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

Deno.test("PacedPromptEncoder encodes a prompt once for all choices of a request, and many messages elsewhere", async () => {
  const prompts = new PacedPromptEncoder(near, directory);
  for (const prompt of [text(long), text("short")]) {
    const encodings = Array.from({ length: 128 }, () => prompts.encode(prompt));
    assertEquals(new Set(await Promise.all(encodings)).size, 1);
  }
  const messages = Array.from({ length: 200 }, () => ({ role: "user", content: "" }));
  const encoding = prompts.encode({ kind: "chat", messages });
  assert(encoding instanceof Promise);
  await encoding;
  prompts.close();
});

Deno.test("PacedPromptEncoder encodes prompts that come together in turns, in their order, and others get theirs between", async () => {
  let encoded = 0;
  const counting = { encode: (prompt: Prompt) => (encoded++, near.encode(prompt)) };
  const prompts = new PacedPromptEncoder(counting, "/nowhere"); // no Worker takes part
  const done: number[] = [];
  const all = Array.from({ length: 20 }, async (_, i) => {
    await prompts.encode(text("word ".repeat(800)));
    done.push(i);
  });
  assertEquals(encoded, 4, "of 4,000 characters, in this turn");
  await new Promise((resolve) => setTimeout(resolve));
  assert(encoded < 20, "a timer has its turn before all are encoded");
  await Promise.all(all);
  assertEquals([encoded, done], [20, Array.from({ length: 20 }, (_, i) => i)]);
  assert(!(prompts.encode(text("short")) instanceof Promise));
  await new Promise((resolve) => setTimeout(resolve, 5));
});

Deno.test("PacedPromptEncoder goes on with others in its line when one of them cannot be encoded", async () => {
  const bad = text("bad ".repeat(900));
  const prompts = new PacedPromptEncoder({
    encode(prompt) {
      if (prompt === bad) throw new Error("Cannot encode");
      return near.encode(prompt);
    },
  }, "/nowhere");
  const burst = Array.from({ length: 8 }, () => prompts.encode(text("word ".repeat(800))));
  await assertRejects(async () => await prompts.encode(bad), Error, "Cannot encode");
  const next = await prompts.encode(text("short"));
  assertEquals(next.kind, "encoded");
  await Promise.all(burst);
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert(!(prompts.encode(text("short again")) instanceof Promise), "nothing waits any more");
});

Deno.test("PacedPromptEncoder leaves this thread free while it encodes", async () => {
  const prompts = new PacedPromptEncoder(near, directory);
  await prompts.encode(text(long));
  const book = text(long.repeat(10));
  let ticks = 0;
  const timer = setInterval(() => ticks++, 2);
  await prompts.encode(book);
  clearInterval(timer);
  assert(ticks > 2, `${ticks} ticks`);
  prompts.close();
});

Deno.test("PacedPromptEncoder rejects what a Worker that cannot go on was to encode, and starts another", async () => {
  const prompts = new PacedPromptEncoder(near, "/nowhere");
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
