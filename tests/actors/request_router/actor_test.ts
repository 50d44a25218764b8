import { assert, assertEquals } from "@std/assert";
import type { RouterMessage } from "../../../actors/request_router/ports.ts";
import type { Prompt, StreamEvent } from "../../../actors/request_router/protocol.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { fakeLogprobs, fakeTokens } from "../../support/fake_engine.ts";
import {
  Bench,
  PROMPT,
  prompts,
  readAll,
  ready,
  request,
  settle,
  template,
  textOf,
  tokenizer,
  tokensOf,
  WINDOW,
} from "../../support/router_bench.ts";

Deno.test("RequestRouter streams a request from its first to its one terminal event", async () => {
  const bench = new Bench();
  await bench.start();
  const events = await readAll(bench, bench.submit());
  assertEquals(events[0], { kind: "started", promptTokens: PROMPT });
  assertEquals(tokensOf(events), fakeTokens(PROMPT, 20));
  assertEquals(textOf(events), tokenizer.decode(fakeTokens(PROMPT, 20)));
  assertEquals(events.at(-1), {
    kind: "finished",
    reason: "length",
    usage: { promptTokens: 3, completionTokens: 20 },
  });
  assertEquals(bench.router.size, 0);
});

Deno.test("RequestRouter replays what was running when the engine dies", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(5);
  const before = ready(events);
  const dead = bench.engine;
  await bench.lose();
  assertEquals(bench.router.engine.phase, "recovering");
  const waiting = bench.submit();
  const late = dead?.step();
  assert(late);
  await bench.mailbox.send(late as RouterMessage);
  await bench.start();
  await bench.mailbox.send(late as RouterMessage);
  const all = [...before, ...await readAll(bench, events)];
  assertEquals(tokensOf(all), fakeTokens(PROMPT, 20));
  assertEquals(textOf(all), tokenizer.decode(fakeTokens(PROMPT, 20)));
  assertEquals(all.filter(({ kind }) => kind === "started" || kind === "finished").length, 2);
  assertEquals(tokensOf(await readAll(bench, waiting)), fakeTokens(PROMPT, 20));
});

Deno.test("RequestRouter replays a request again and again without repeating a token", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit({ maxTokens: 60 });
  const all: StreamEvent[] = [];
  for (let death = 0; death < 8; death++) {
    await bench.step(death);
    if (death % 2) all.push(...ready(events));
    await bench.lose();
    await bench.start();
  }
  all.push(...await readAll(bench, events));
  assertEquals(tokensOf(all), fakeTokens(PROMPT, 60));
});

Deno.test("RequestRouter ends a request at its stop string and has the engine forget it", async () => {
  const bench = new Bench();
  await bench.start();
  const whole = tokenizer.decode(fakeTokens(PROMPT, 20));
  const stop = whole.slice(9, 12);
  const at = whole.indexOf(stop);
  const events = await readAll(bench, bench.submit({ stop: [stop] }));
  assertEquals(textOf(events), whole.slice(0, at));
  const end = events.at(-1);
  assert(end?.kind === "finished" && end.reason === "stop" && end.usage.completionTokens < 20);
  assertEquals(bench.engine?.size, 0);
});

Deno.test("RequestRouter counts the stop token and does not show it", async () => {
  const bench = new Bench();
  await bench.start();
  const [a = 0, b = 0, c = 0] = fakeTokens(PROMPT, 3);
  const events = await readAll(bench, bench.submit({ stopTokenIds: [c] }));
  assertEquals(tokensOf(events), [a, b]);
  assertEquals(events.at(-1), {
    kind: "finished",
    reason: "stop",
    usage: { promptTokens: 3, completionTokens: 3 },
  });
});

Deno.test("RequestRouter ends a cancelled request at once, in the engine too", async () => {
  const bench = new Bench();
  await bench.start();
  const one = request();
  const events = bench.submit(one);
  await bench.step(2);
  bench.router.cancel(one.id);
  bench.router.cancel(one.id);
  await settle();
  assertEquals(bench.engine?.size, 0);
  assertEquals(ready(events).at(-1), { kind: "cancelled" });
  assertEquals(events.tryReceive(), { state: "closed", reason: null });
  assertEquals(bench.router.size, 0);
});

Deno.test("RequestRouter fails a request that can never run, naming the parameter", async () => {
  const bench = new Bench();
  await bench.start();
  for (
    const [changes, kind, param, text] of [
      [{ prompt: { kind: "tokens", tokens: [] } }, "invalid", "prompt", "at least one token"],
      [{ maxTokens: 1000 }, "too_long", "max_tokens", "received 3 + 1000 = 1003"],
      [{ maxTokens: 300 }, "too_long", "max_tokens", "what the page pool can hold"],
      [
        { prompt: { kind: "tokens", tokens: [99999999] } },
        "invalid",
        "prompt",
        "received token 99999999",
      ],
      [
        { prompt: { kind: "chat", messages: [{ role: "jester", content: "" }] } },
        "invalid",
        "messages",
        "jester",
      ],
    ] as const
  ) {
    const [end, ...rest] = await readAll(bench, bench.submit(changes));
    assertEquals(rest, []);
    assert(end?.kind === "failed");
    assertEquals([end.error.kind, end.error.param], [kind, param]);
    assert(end.error.message.includes(text), end.error.message);
  }
});

Deno.test("RequestRouter echoes the prompt, with log probabilities once they are known", async () => {
  const bench = new Bench();
  await bench.start();
  const text: Prompt = { kind: "text", text: "hello there" };
  const plain = await readAll(bench, bench.submit({ prompt: text, echo: true, maxTokens: 1 }));
  assert(plain[1]?.kind === "prompt");
  assertEquals(plain[1].text, "hello there");
  assertEquals(plain[1].tokens.map(({ token }) => token), tokenizer.encode("hello there"));

  const sampling = { ...GREEDY, topLogprobs: 2 };
  const scored = bench.submit({ echo: true, sampling, maxTokens: 2 });
  await settle();
  assertEquals(ready(scored).map(({ kind }) => kind), ["started"]);
  const events = await readAll(bench, scored);
  assert(events[0]?.kind === "prompt");
  assertEquals(events[0].text, tokenizer.decode(PROMPT));
  assertEquals(
    events[0].tokens.map(({ logprobs }) => logprobs?.logprob ?? null),
    PROMPT.map((token, at) => at === 0 ? null : fakeLogprobs(token).logprob),
  );
  assertEquals(
    events[0].tokens.filter(({ special }) => special).map(({ token }) => token),
    PROMPT.filter((token) => tokenizer.isSpecial(token)),
  );
  assert(events[1]?.kind === "tokens" && events[1].tokens[0]?.logprobs?.top.length === 2);
});

Deno.test("RequestRouter gives the prompt alone to who asks for no tokens", async () => {
  const bench = new Bench();
  await bench.start();
  const sampling = { ...GREEDY, topLogprobs: 0 };
  const events = await readAll(bench, bench.submit({ echo: true, sampling, maxTokens: 0 }));
  assertEquals(events.map(({ kind }) => kind), ["started", "prompt", "finished"]);
  const [, echoed, finished] = events;
  assert(echoed?.kind === "prompt" && finished?.kind === "finished");
  assertEquals(echoed.tokens.length, PROMPT.length);
  assertEquals(finished.reason, "length");
  assertEquals(finished.usage.completionTokens, 0);
});

Deno.test("RequestRouter encodes chats with the model's template", async () => {
  const bench = new Bench();
  await bench.start();
  const messages = [{ role: "user", content: "hi" }];
  const events = await readAll(bench, bench.submit({ prompt: { kind: "chat", messages } }));
  assert(template);
  const rendered = template.render(messages, { addGenerationPrompt: true });
  assertEquals(events[0], { kind: "started", promptTokens: tokenizer.encodeChat(rendered) });
});

Deno.test("RequestRouter serves others while a prompt is encoded elsewhere, and drops it when cancelled", async () => {
  const slow = Promise.withResolvers<void>();
  const bench = new Bench({
    encode: (prompt) =>
      prompt.kind === "text"
        ? slow.promise.then(() => prompts.encode(prompt))
        : prompts.encode(prompt),
  });
  await bench.start();
  const text: Prompt = { kind: "text", text: "hello" };
  const waiting = bench.submit({ prompt: text });
  const gone = request({ prompt: text });
  bench.router.submit([gone]);
  assertEquals(tokensOf(await readAll(bench, bench.submit())), fakeTokens(PROMPT, 20));
  bench.router.cancel(gone.id);
  await settle();
  slow.resolve();
  await settle();
  const events = await readAll(bench, waiting);
  assertEquals(tokensOf(events), fakeTokens(tokenizer.encode("hello"), 20));
  assertEquals(bench.router.size, 0);
});

Deno.test("RequestRouter fails one request alone when the tokenizer throws", async () => {
  const bench = new Bench({
    encode: (prompt) => {
      if (prompt.kind === "text") throw new Error("table broken");
      return prompts.encode(prompt);
    },
  });
  await bench.start();
  const [end] = await readAll(bench, bench.submit({ prompt: { kind: "text", text: "x" } }));
  assert(end?.kind === "failed" && end.error.kind === "internal");
  assert(end.error.message.includes("table broken"));
  assertEquals(tokensOf(await readAll(bench, bench.submit())), fakeTokens(PROMPT, 20));
});

Deno.test("RequestRouter fails one request alone when what it asks for cannot be watched for", async () => {
  const bench = new Bench();
  await bench.start();
  const running = bench.submit();
  const [end] = await readAll(bench, bench.submit({ stop: ["\ud800"] }));
  assert(end?.kind === "failed" && end.error.kind === "internal");
  assert(end.error.message.includes("expected stop[0] to be non-empty"), end.error.message);
  assertEquals(tokensOf(await readAll(bench, running)), fakeTokens(PROMPT, 20));
  assertEquals(bench.router.size, 0);
});

Deno.test("RequestRouter fails a request whose engine breaks the protocol, and cancels it there", async () => {
  const bench = new Bench();
  await bench.start();
  const one = request();
  const events = bench.submit(one);
  await settle();
  assert(bench.engine);
  await bench.mailbox.send({
    kind: "progressed",
    epoch: bench.engine.epoch,
    outputs: [{
      request: one.id,
      tokens: fakeTokens(PROMPT, WINDOW + 1).map((token) => ({ token, logprobs: null })),
      promptLogprobs: [],
      end: null,
    }],
  });
  await settle();
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "internal");
  assertEquals(bench.engine.size, 0);
});

Deno.test("RequestRouter tells of a request that the engine gave up as unavailable, and of no start where it may be", async () => {
  for (const lateStart of [false, true]) {
    const bench = new Bench(prompts, 4, lateStart);
    await bench.start();
    const one = request();
    const events = bench.submit(one);
    assert(bench.engine);
    await settle();
    const before = ready(events).map(({ kind }) => kind);
    assertEquals(before, lateStart ? [] : ["started"]);
    const end = { kind: "shed", error: "Cannot answer in time" } as const;
    await bench.mailbox.send({
      kind: "progressed",
      epoch: bench.engine.epoch,
      outputs: [{ request: one.id, tokens: [], promptLogprobs: [], end }],
    });
    await settle();
    const message = "Cannot finish the request: Cannot answer in time";
    const error = { kind: "unavailable", message, param: null } as const;
    assertEquals(ready(events), [{ kind: "failed", error }]);
    assertEquals(bench.router.size, 0);
  }
});

Deno.test("RequestRouter that starts late says so with the first token, once, whatever engine makes it", async () => {
  const bench = new Bench(prompts, 4, true);
  await bench.start();
  const events = bench.submit({ echo: true });
  await bench.lose();
  await bench.start();
  await bench.step(3);
  await bench.lose();
  await bench.start();
  const all = await readAll(bench, events);
  assertEquals(all.slice(0, 3).map(({ kind }) => kind), ["started", "prompt", "tokens"]);
  assertEquals(all.filter(({ kind }) => kind === "started").length, 1);
  assertEquals(tokensOf(all), fakeTokens(PROMPT, 20));
});

Deno.test("RequestRouter that starts late tells of a failure before the first token without a start, so that it can be a status", async () => {
  const bench = new Bench(prompts, 4, true);
  await bench.start();
  const one = request();
  const events = bench.submit(one);
  assert(bench.engine);
  const end = { kind: "failed", error: "Cannot load adapter: NaN" } as const;
  await bench.mailbox.send({
    kind: "progressed",
    epoch: bench.engine.epoch,
    outputs: [{ request: one.id, tokens: [], promptLogprobs: [], end }],
  });
  await settle();
  assertEquals(ready(events).map(({ kind }) => kind), ["failed"]);
});
