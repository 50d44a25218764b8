import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { spawn } from "../../../actors/actor.ts";
import { Channel, type Receiver } from "../../../actors/channel.ts";
import { requestRouter } from "../../../actors/request_router/actor.ts";
import { EngineLink, type EngineLinkOptions } from "../../../actors/request_router/engine_link.ts";
import { RequestRouter } from "../../../actors/request_router/handle.ts";
import type { RouterMessage } from "../../../actors/request_router/ports.ts";
import { promptEncoder } from "../../../actors/request_router/prompt_encoder.ts";
import type { EngineEvent, StreamEvent } from "../../../actors/request_router/protocol.ts";
import { AdapterRegistry } from "../../../actors/request_router/registry.ts";
import type { AdapterRoute } from "../../../actors/sampling.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { adapterId, requestId } from "../../../memory/ids.ts";
import { Tokenizer } from "../../../models/tokenizer.ts";
import { fakeTokens } from "../../support/fake_engine.ts";
import type { Manner } from "../../support/fake_engine_process.ts";
import { tokenizerDirectory } from "../../support/tokenizer_goldens.ts";

const tokenizer = await Tokenizer.load(tokenizerDirectory("llama3"));
const script = new URL("../../support/fake_engine_process.ts", import.meta.url).pathname;

/** Router, handle and link as the front has them; the engine is a real process that only counts. */
class Front {
  readonly mailbox = new Channel<RouterMessage>({ capacity: 256 });
  readonly registry = new AdapterRegistry();
  readonly router = new RequestRouter({
    mailbox: this.mailbox,
    capacity: 64,
    window: 16,
    adapters: this.registry,
  });
  readonly seen: EngineEvent[] = [];
  readonly sockets: string[] = [];
  readonly link: EngineLink;
  readonly #actor;

  /** The n-th incarnation has the n-th manner, later ones the last. */
  constructor(manners: readonly Manner[], options: Partial<EngineLinkOptions> = {}) {
    let started = 0;
    this.link = new EngineLink({
      args: (socket, epoch) => {
        this.sockets.push(socket);
        const manner = manners[Math.min(started++, manners.length - 1)] ?? "honest";
        return ["run", "-A", "--no-check", script, socket, String(epoch), manner];
      },
      capacity: 256,
      connectMs: 20_000,
      registry: this.registry,
      deliver: this.mailbox,
      observe: (event) => this.seen.push(event),
      pingMs: 1000,
      missedPings: 10,
      backoffMs: 5,
      tolerance: { restarts: 3, periodMs: 60_000 },
      stopMs: 10_000,
      ...options,
    });
    const { router } = this;
    this.#actor = spawn(
      requestRouter({
        prompts: promptEncoder(tokenizer, null),
        vocabulary: tokenizer,
        vocabSize: tokenizer.vocabSize,
        eosTokenIds: [],
        capacity: 64,
        window: 16,
      }, {
        emit: (request, event) => router.emit(request, event),
        status: (status) => router.status(status),
        later: (message) => router.later(message),
        abandon: (reason) => router.abandon(reason),
        command: (epoch, command) => this.link.send(epoch, command),
      }),
      this.mailbox,
    );
  }

  /** Process id of the engine that is ready. */
  get pid(): number {
    return Number(this.router.engine.limits?.device);
  }

  async ready(): Promise<void> {
    await this.link.ready;
    while (this.router.engine.phase !== "ready") await pause(5);
  }

  submit(name: string, maxTokens: number, adapters: readonly AdapterRoute[] = []) {
    const submission = this.router.submit([{
      id: requestId(name),
      prompt: { kind: "tokens", tokens: promptOf(name) },
      adapters,
      sampling: GREEDY,
      maxTokens,
      stop: [],
      stopTokenIds: [],
      ignoreEos: true,
      echo: false,
    }]);
    assert(submission.kind === "accepted", submission.kind);
    return submission.streams[0] as Receiver<StreamEvent>;
  }

  /** Why engines were lost. */
  reasons(): string[] {
    return this.seen.flatMap((event) => event.kind === "engine_lost" ? [event.reason] : []);
  }

  kinds(): string[] {
    return this.seen.map(({ kind }) => kind).filter((kind) => kind !== "progressed");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.link.stop();
    await this.link.stopped;
    this.#actor.stop();
    await this.#actor.stopped;
  }
}

/** Where the machine may be too busy for what a test wants at once. */
const PATIENT = { restarts: 100, periodMs: 60_000 };
const promptOf = (name: string) => [...name].map((letter) => letter.charCodeAt(0));
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

interface Read {
  readonly tokens: number[];
  text: string;
  end: StreamEvent | null;
}

/** Reads a stream as it comes; `onToken` sees how many there are. */
async function read(
  events: Receiver<StreamEvent>,
  onToken: (count: number) => void = () => {},
): Promise<Read> {
  const all: Read = { tokens: [], text: "", end: null };
  for await (const event of events) {
    if (event.kind === "tokens") {
      all.tokens.push(...event.tokens.map(({ token }) => token));
      all.text += event.text;
      onToken(all.tokens.length);
    } else if (event.kind !== "started") all.end = event;
  }
  return all;
}

Deno.test("EngineLink lets streams go on, without a repeated or missing token, when the engine is SIGKILLed", async () => {
  // Room for fewer messages than there are streams: a replay must not depend on it.
  await using front = new Front(["honest"], { capacity: 4 });
  await front.ready();
  const killed = new Set<number>();
  const killAt = (count: number) => {
    if ((count === 20 || count === 70) && !killed.has(front.pid)) {
      killed.add(front.pid);
      Deno.kill(front.pid, "SIGKILL");
    }
  };
  const names = Array.from({ length: 12 }, (_, i) => `stream ${i}`);
  const streams = await Promise.all(
    names.map((name, i) => read(front.submit(name, 100), i === 0 ? killAt : undefined)),
  );
  for (const [i, { tokens, text, end }] of streams.entries()) {
    const expected = fakeTokens(promptOf(names[i] ?? ""), 100);
    assertEquals(tokens, expected);
    assertEquals(text, tokenizer.decode(expected));
    assert(end?.kind === "finished" && end.reason === "length", JSON.stringify(end));
  }
  assertEquals(killed.size, 2);
  assertEquals(
    front.kinds(),
    ["engine_ready", "engine_lost", "engine_ready", "engine_lost", "engine_ready"],
  );
  const lost = front.seen.find(({ kind }) => kind === "engine_lost");
  assert(lost?.kind === "engine_lost");
  assertEquals(lost.reason, "it was ended by SIGKILL");
});

Deno.test("EngineLink kills an engine that hangs, and streams go on", async () => {
  await using front = new Front(["honest"], { pingMs: 200, missedPings: 10, tolerance: PATIENT });
  await front.ready();
  const hung = front.pid;
  const { tokens } = await read(front.submit("hung", 60), (count) => {
    if (count === 10 && front.pid === hung) Deno.kill(hung, "SIGSTOP");
  });
  assertEquals(tokens, fakeTokens(promptOf("hung"), 60));
  const lost = front.seen.find(({ kind }) => kind === "engine_lost");
  assert(lost?.kind === "engine_lost");
  assertEquals(lost.reason, "it gave no sign of life for 2000 ms");
});

Deno.test("EngineLink registers every adapter with a new engine before it replays", async () => {
  await using front = new Front(["honest"]);
  const entry = (name: string, path: string) => ({
    name,
    id: adapterId(name),
    path,
    parent: "base",
  });
  for (let i = 0; i < 600; i++) front.registry.add(entry(`early ${i}`, "/good"));
  await front.ready();
  front.registry.add(entry("late", "/good"));
  front.registry.add(entry("broken", "/bad"));
  const adapters = ["early 599", "late"].map((name) => ({ adapter: adapterId(name), weight: 1 }));
  const { tokens } = await read(front.submit("adapted", 60, adapters), (count) => {
    if (count === 10) Deno.kill(front.pid, "SIGKILL");
  });
  assertEquals(tokens, fakeTokens(promptOf("adapted"), 60));
  assertEquals(front.registry.get("late")?.state, { kind: "registered", rank: 8, bytes: 1024 });
  assertEquals(front.registry.get("broken")?.state, { kind: "rejected", error: "no such file" });
  assertEquals(front.kinds().filter((kind) => kind === "adapter_registered").length, 2 * 601);
});

Deno.test("EngineLink unregisters what was replaced when its last request ends, also with another engine", async () => {
  await using front = new Front(["honest"]);
  const entry = (id: string) => ({ name: "a", id: adapterId(id), path: "/good", parent: "base" });
  const routes = (id: string) => [{ adapter: adapterId(id), weight: 1 }];
  front.registry.add(entry("old"));
  await front.ready();
  const [old, fresh] = [adapterId("old"), adapterId("new")];
  assertEquals(await front.registry.pin("a"), null);
  assertEquals(await front.link.places(), { host: [old], gpu: [old] });
  let replaced: Promise<void> | null = null;
  const { tokens } = await read(front.submit("slow", 200, routes("old")), (count) => {
    if (count !== 10) return;
    replaced = front.registry.load(entry("new")).then(() => Deno.kill(front.pid, "SIGKILL"));
  });
  assertEquals(tokens, fakeTokens(promptOf("slow"), 200));
  await replaced;
  let places = await front.link.places();
  while (!places?.host.includes(fresh)) {
    await pause(5);
    places = await front.link.places();
  }
  assertEquals(places, { host: [fresh], gpu: [fresh] });
  assertEquals(front.registry.get("a")?.requests, { running: 0, waiting: 0 });
});

Deno.test("EngineLink gives up on an engine that dies more often than tolerated, and says why", async () => {
  await using front = new Front(["exits"], { tolerance: { restarts: 2, periodMs: 60_000 } });
  const refused = assertRejects(() => front.link.ready, Error, "it has stopped");
  const exit = await front.link.stopped;
  assert(exit.kind === "crashed");
  assertEquals(
    (exit.error as Error).message,
    "Cannot keep the engine running: 2 restarts in 60000 ms are used up, and " +
      "Cannot start the engine: it exited with code 3",
  );
  await refused;
  assertEquals(front.kinds(), ["engine_lost", "engine_lost", "engine_lost", "start_failed"]);
  await pause(5);
  assertEquals(front.router.engine.phase, "failed");
});

Deno.test("EngineLink does not try again when the engine says that it cannot start", async () => {
  await using front = new Front(["cannot start"]);
  const exit = await front.link.stopped;
  assert(exit.kind === "crashed");
  assert(String(exit.error).includes("the pool does not fit the card"));
  assertEquals(front.kinds(), ["start_failed", "engine_lost"]);
  await pause(5);
  const { phase, reason } = front.router.engine;
  assertEquals(phase, "failed");
  assert(reason?.includes("the pool does not fit the card"), reason ?? "no reason");
});

Deno.test("EngineLink replaces an engine that does not connect", async () => {
  // Honest ones are late too where the machine is busy: they are replaced until one is in time.
  const options = { connectMs: 1500, tolerance: PATIENT };
  await using front = new Front(["never connects", "honest"], options);
  await front.ready();
  assert(front.reasons()[0]?.includes("did not connect within 1500 ms"), front.reasons()[0]);
});

Deno.test("EngineLink replaces an engine that hangs up or speaks as another", async () => {
  await using front = new Front(["hangs up", "speaks as another", "honest"]);
  await front.ready();
  const reasons = front.reasons();
  assertEquals([reasons.length, reasons[0]], [2, "it hung up"]);
  assert(reasons[1]?.includes("Cannot follow the engine: expected epoch"), reasons[1]);
});

Deno.test("EngineLink.stop() ends the engine and leaves nothing behind", async () => {
  for (const manner of ["honest", "ignores SIGTERM"] as const) {
    const front = new Front([manner], { stopMs: 300 });
    await front.ready();
    const { pid } = front;
    const directory = front.sockets[0]?.replace(/\/[^/]*$/, "") ?? "";
    const { mode } = await Deno.stat(directory);
    assertEquals((mode ?? 0) & 0o777, 0o700);
    await front[Symbol.asyncDispose]();
    assertEquals(await front.link.stopped, { kind: "stopped" });
    await assertRejects(() => Deno.stat(directory), Deno.errors.NotFound);
    assertThrows(() => Deno.kill(pid, "SIGCONT"));
  }
});

Deno.test("EngineLink.stop() does not wait for an engine that never connects", async () => {
  const front = new Front(["never connects"]);
  await pause(50);
  const before = performance.now();
  await front[Symbol.asyncDispose]();
  assertEquals(await front.link.stopped, { kind: "stopped" });
  assert(performance.now() - before < 10_000);
});
