import { assert, assertEquals, assertThrows } from "@std/assert";
import { type Actor, spawn } from "../../../actors/actor.ts";
import { Channel, type Receiver } from "../../../actors/channel.ts";
import type { EngineCommand } from "../../../actors/engine_protocol.ts";
import { requestRouter } from "../../../actors/request_router/actor.ts";
import { RequestRouter } from "../../../actors/request_router/handle.ts";
import type { RouterMessage } from "../../../actors/request_router/ports.ts";
import {
  type PromptEncoder,
  promptEncoder,
} from "../../../actors/request_router/prompt_encoder.ts";
import type {
  GenerationRequest,
  Prompt,
  StreamEvent,
} from "../../../actors/request_router/protocol.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { type Epoch, epoch as epochOf, requestId } from "../../../memory/ids.ts";
import { ChatTemplate } from "../../../models/chat_template.ts";
import { Tokenizer } from "../../../models/tokenizer.ts";
import { FAKE_LIMITS, FakeEngine, fakeLogprobs, fakeTokens } from "../../support/fake_engine.ts";
import { tokenizerDirectory } from "../../support/tokenizer_goldens.ts";

const tokenizer = await Tokenizer.load(tokenizerDirectory("llama3"));
const template = await ChatTemplate.load(tokenizerDirectory("llama3"));
const prompts = promptEncoder(tokenizer, template);
const WINDOW = 8;

/** A router with a handle before it and an engine of this test behind it. */
class Bench {
  readonly mailbox = new Channel<RouterMessage>({ capacity: 64 });
  readonly router: RequestRouter;
  actor: Actor;
  engine: FakeEngine | null = null;
  readonly commands: string[] = [];
  #epoch = 0;

  constructor(readonly encoder: PromptEncoder = prompts, readonly capacity = 4) {
    this.router = new RequestRouter({ mailbox: this.mailbox, capacity, window: WINDOW });
    this.actor = this.spawn();
  }

  spawn(): Actor {
    const { router, capacity, encoder } = this;
    return spawn(
      requestRouter({
        prompts: encoder,
        vocabulary: tokenizer,
        vocabSize: tokenizer.vocabSize,
        eosTokenIds: tokenizer.eosTokenIds,
        capacity,
        window: WINDOW,
      }, {
        emit: (request, event) => router.emit(request, event),
        status: (status) => router.status(status),
        later: (message) => router.later(message),
        abandon: (reason) => router.abandon(reason),
        command: (epoch, command) => this.#command(epoch, command),
      }),
      this.mailbox,
    );
  }

  async start(): Promise<void> {
    const epoch = epochOf(++this.#epoch);
    this.engine = new FakeEngine(epoch);
    await this.mailbox.send({ kind: "engine_ready", epoch, limits: FAKE_LIMITS });
    await settle();
  }

  async lose(): Promise<void> {
    const { engine } = this;
    this.engine = null;
    if (!engine) return;
    await this.mailbox.send({ kind: "engine_lost", epoch: engine.epoch, reason: "SIGKILL" });
    await settle();
  }

  async step(times = 1): Promise<void> {
    for (let i = 0; i < times; i++) {
      const event = this.engine?.step();
      if (event) await this.mailbox.send(event as RouterMessage);
      await settle();
    }
  }

  submit(changes: Partial<GenerationRequest> = {}): Receiver<StreamEvent> {
    const submission = this.router.submit(request(changes));
    assert(submission.kind === "accepted", submission.kind);
    return submission.events;
  }

  #command(epoch: Epoch, command: EngineCommand): void {
    this.commands.push(command.kind);
    if (this.engine?.epoch === epoch) this.engine.handle(command);
  }
}

let ids = 0;
const request = (changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  id: requestId(`r${ids++}`),
  prompt: { kind: "tokens", tokens: [10, 20, 30] },
  adapters: [],
  sampling: GREEDY,
  maxTokens: 20,
  stop: [],
  stopTokenIds: [],
  ignoreEos: true,
  echo: false,
  ...changes,
});
const PROMPT = [10, 20, 30];

/** Lets every actor do what it can do now. */
const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

/** What there is to read now. */
function ready(events: Receiver<StreamEvent>): StreamEvent[] {
  const all: StreamEvent[] = [];
  for (let next = events.tryReceive(); next.state === "ok"; next = events.tryReceive()) {
    all.push(next.value);
  }
  return all;
}

const tokensOf = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => event.kind === "tokens" ? event.tokens.map(({ token }) => token) : []);
const textOf = (events: readonly StreamEvent[]) =>
  events.map((event) => event.kind === "tokens" ? event.text : "").join("");

async function readAll(bench: Bench, events: Receiver<StreamEvent>): Promise<StreamEvent[]> {
  const all = ready(events);
  while (events.tryReceive().state !== "closed") {
    await bench.step();
    all.push(...ready(events));
  }
  return all;
}

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

Deno.test("RequestRouter says not_ready before the first engine and full when its ledger is", async () => {
  const bench = new Bench(prompts, 2);
  assertEquals(bench.router.submit(request()), { kind: "not_ready" });
  await bench.start();
  const first = bench.submit();
  bench.submit();
  assertEquals(bench.router.submit(request()), { kind: "full" });
  await readAll(bench, first);
  assertEquals(bench.router.submit(request()).kind, "accepted");
});

Deno.test("RequestRouter refuses an id that is running", async () => {
  const bench = new Bench();
  await bench.start();
  const one = request();
  bench.router.submit(one);
  assertThrows(() => bench.router.submit(one), RangeError, `received ${one.id}`);
});

Deno.test("RequestRouter holds a stream back that nobody reads, and no other", async () => {
  const bench = new Bench();
  await bench.start();
  const slow = bench.submit({ maxTokens: 100 });
  const fast = bench.submit({ maxTokens: 100 });
  const fastEvents = await readAll(bench, fast);
  assertEquals(tokensOf(fastEvents), fakeTokens(PROMPT, 100));
  const waiting = ready(slow);
  assertEquals(tokensOf(waiting).length, WINDOW);
  const rest = await readAll(bench, slow);
  assertEquals(tokensOf([...waiting, ...rest]), fakeTokens(PROMPT, 100));
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
  const submission = bench.router.submit(one);
  assert(submission.kind === "accepted");
  await bench.step(2);
  bench.router.cancel(one.id);
  bench.router.cancel(one.id);
  await settle();
  assertEquals(bench.engine?.size, 0);
  assertEquals(ready(submission.events).at(-1), { kind: "cancelled" });
  assertEquals(submission.events.tryReceive(), { state: "closed", reason: null });
  assertEquals(bench.router.size, 0);
});

Deno.test("RequestRouter fails a request that can never run, naming the parameter", async () => {
  const bench = new Bench();
  await bench.start();
  for (
    const [changes, param, text] of [
      [{ prompt: { kind: "tokens", tokens: [] } }, "prompt", "at least one token"],
      [{ maxTokens: 1000 }, "max_tokens", "received 3 + 1000 = 1003"],
      [{ maxTokens: 300 }, "max_tokens", "what the page pool can hold"],
      [{ prompt: { kind: "tokens", tokens: [99999999] } }, "prompt", "received token 99999999"],
      [
        { prompt: { kind: "chat", messages: [{ role: "jester", content: "" }] } },
        "messages",
        "jester",
      ],
    ] as const
  ) {
    const [end, ...rest] = await readAll(bench, bench.submit(changes));
    assertEquals(rest, []);
    assert(end?.kind === "failed" && end.error.kind === "invalid");
    assertEquals(end.error.param, param);
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
  assert(events[1]?.kind === "tokens" && events[1].tokens[0]?.logprobs?.top.length === 2);
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
  bench.router.submit(gone);
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

Deno.test("RequestRouter fails a request whose engine breaks the protocol, and cancels it there", async () => {
  const bench = new Bench();
  await bench.start();
  const one = request();
  const submission = bench.router.submit(one);
  await settle();
  assert(submission.kind === "accepted" && bench.engine);
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
  const end = ready(submission.events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "internal");
  assertEquals(bench.engine.size, 0);
});

Deno.test("RequestRouter fails everything, now and later, when no engine will come", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.lose();
  await bench.mailbox.send({ kind: "start_failed", epoch: epochOf(2), error: "out of memory" });
  await settle();
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "unavailable");
  assert(end.error.message.includes("out of memory"));
  assertEquals(bench.router.submit(request()), { kind: "not_ready" });
  assertEquals(bench.router.engine.phase, "failed");
});

Deno.test("RequestRouter fails its streams when the router crashes; its successor starts clean", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(2);
  // A command of a kind that no version of this program knows.
  await bench.mailbox.send({ kind: "generate", request: null } as unknown as RouterMessage);
  assertEquals((await bench.actor.stopped).kind, "crashed");
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "unavailable");
  bench.actor = bench.spawn();
  await settle();
  assertEquals(bench.router.submit(request()), { kind: "not_ready" });
  await bench.start();
  assertEquals(tokensOf(await readAll(bench, bench.submit())), fakeTokens(PROMPT, 20));
});

Deno.test("RequestRouter.drain() admits nothing more and lets streams finish", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(2);
  const drained = bench.router.drain(10_000);
  assertEquals(bench.router.submit(request()), { kind: "not_ready" });
  assertEquals((await readAll(bench, events)).at(-1)?.kind, "finished");
  await drained;
});

Deno.test("RequestRouter.drain() ends what has not finished by the deadline", async () => {
  const bench = new Bench();
  await bench.start();
  const events = bench.submit();
  await bench.step(2);
  await bench.router.drain(5);
  const end = ready(events).at(-1);
  assert(end?.kind === "failed" && end.error.kind === "unavailable");
  await settle();
  assertEquals([bench.router.size, bench.engine?.size], [0, 0]);
});
