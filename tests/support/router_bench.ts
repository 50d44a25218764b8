import { assert } from "@std/assert";
import { type Actor, spawn } from "../../actors/actor.ts";
import { Channel, type Receiver } from "../../actors/channel.ts";
import type { EngineCommand } from "../../actors/engine_protocol.ts";
import { requestRouter } from "../../actors/request_router/actor.ts";
import { RequestRouter } from "../../actors/request_router/handle.ts";
import type { RouterMessage } from "../../actors/request_router/ports.ts";
import { type PromptEncoder, promptEncoder } from "../../actors/request_router/prompt_encoder.ts";
import type { GenerationRequest, StreamEvent } from "../../actors/request_router/protocol.ts";
import { GREEDY } from "../../actors/sampling.ts";
import { type Epoch, epoch as epochOf, requestId } from "../../memory/ids.ts";
import { ChatTemplate } from "../../models/chat_template.ts";
import { Tokenizer } from "../../models/tokenizer.ts";
import { FAKE_LIMITS, FakeEngine } from "./fake_engine.ts";
import { tokenizerDirectory } from "./tokenizer_goldens.ts";

/** Real tokens for an engine that is not. */
export const tokenizer = await Tokenizer.load(tokenizerDirectory("llama3"));
export const template = await ChatTemplate.load(tokenizerDirectory("llama3"));
export const prompts = promptEncoder(tokenizer, template);
/** Tokens ahead of a reader. */
export const WINDOW = 8;

/** A router with a handle before it and an engine of this test behind it. */
export class Bench {
  readonly mailbox = new Channel<RouterMessage>({ capacity: 64 });
  readonly router: RequestRouter;
  actor: Actor;
  engine: FakeEngine | null = null;
  #epoch = 0;

  constructor(
    readonly encoder: PromptEncoder = prompts,
    readonly capacity = 4,
    readonly lateStart = false,
  ) {
    this.router = new RequestRouter({ mailbox: this.mailbox, capacity, window: WINDOW });
    this.actor = this.spawn();
  }

  spawn(): Actor {
    const { router, capacity, encoder, lateStart } = this;
    return spawn(
      requestRouter({
        prompts: encoder,
        vocabulary: tokenizer,
        vocabSize: tokenizer.vocabSize,
        eosTokenIds: tokenizer.eosTokenIds,
        capacity,
        window: WINDOW,
        lateStart,
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
    const submission = this.router.submit([request(changes)]);
    assert(submission.kind === "accepted", submission.kind);
    return submission.streams[0] as Receiver<StreamEvent>;
  }

  #command(epoch: Epoch, command: EngineCommand): void {
    if (this.engine?.epoch === epoch) this.engine.handle(command);
  }
}

let ids = 0;
/** A request for 20 tokens after PROMPT, or as `changes` say. */
export const request = (changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
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
export const PROMPT = [10, 20, 30];

/** Lets every actor do what it can do now. */
export const settle = () => new Promise((resolve) => setTimeout(resolve, 0));

/** What there is to read now. */
export function ready(events: Receiver<StreamEvent>): StreamEvent[] {
  const all: StreamEvent[] = [];
  for (let next = events.tryReceive(); next.state === "ok"; next = events.tryReceive()) {
    all.push(next.value);
  }
  return all;
}

/** The tokens of all events, in order. */
export const tokensOf = (events: readonly StreamEvent[]) =>
  events.flatMap((event) => event.kind === "tokens" ? event.tokens.map(({ token }) => token) : []);
/** The text of all events, in order. */
export const textOf = (events: readonly StreamEvent[]) =>
  events.map((event) => event.kind === "tokens" ? event.text : "").join("");

/** Steps the engine and reads until the stream has ended. */
export async function readAll(bench: Bench, events: Receiver<StreamEvent>): Promise<StreamEvent[]> {
  const all = ready(events);
  while (events.tryReceive().state !== "closed") {
    await bench.step();
    all.push(...ready(events));
  }
  return all;
}
