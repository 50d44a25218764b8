import { assert, assertEquals } from "@std/assert";
import { spawn } from "../../../actors/actor.ts";
import { batchFormer } from "../../../actors/batch_former/actor.ts";
import type { Output } from "../../../actors/batch_former/protocol.ts";
import type * as BatchFormer from "../../../actors/batch_former/protocol.ts";
import { Channel } from "../../../actors/channel.ts";
import type * as Executor from "../../../actors/executor/protocol.ts";
import type * as Loader from "../../../actors/loader/protocol.ts";
import { memoryManager } from "../../../actors/memory_manager/actor.ts";
import { RESIDENCY_DEFAULTS } from "../../../actors/memory_manager/manager.ts";
import type * as MemoryManager from "../../../actors/memory_manager/protocol.ts";
import type { EngineEvent } from "../../../actors/request_router/protocol.ts";
import { adapterId, epoch, requestId, stepId } from "../../../memory/ids.ts";
import type { AdapterImage } from "../../../models/adapter_image.ts";
import { BLOCK, runAlone, SimulatedExecutor } from "../../support/simulated_executor.ts";
import { sequenceOf, using } from "./sequences.ts";

const IMAGE: AdapterImage = {
  layers: { bytes: new SharedArrayBuffer(0), pages: 2, copies: 1 },
  head: null,
  maxRank: 4,
  moduleRanks: [4, 0, 0, 0, 0, 0, 0],
  headRanks: [0, 0],
  dora: false,
};

/** Both actors, a simulated executor and a loader, joined by channels of `capacity`. */
function startEngine(capacity: number) {
  const former = new Channel<BatchFormer.Command>({ capacity });
  const memory = new Channel<MemoryManager.Command>({ capacity });
  const executor = new Channel<Executor.Command>({ capacity });
  const loader = new Channel<Loader.Command>({ capacity });
  const outbox = new Channel<EngineEvent>({ capacity });
  const shape = { layerPages: 24, headPages: 0, pagesPerBlock: 1, blockTokens: BLOCK };
  const limits = { maxRunning: 4, maxBatchTokens: 16, maxLogitRows: 8 };
  const actors = [
    spawn(
      memoryManager({
        shape,
        limits: RESIDENCY_DEFAULTS,
        epoch: epoch(1),
        loader,
        executor,
        former,
        outbox,
      }),
      memory,
    ),
    spawn(
      batchFormer({ limits, epoch: epoch(1), mailbox: former, memory, executor, outbox }),
      former,
    ),
  ] as const;
  const simulated = new SimulatedExecutor(1);
  const workers = [
    (async () => {
      for await (const command of executor) {
        const stepped = simulated.apply(command);
        if (stepped) await former.send(stepped);
        while (simulated.uploading) {
          const uploaded = simulated.uploadPage();
          if (uploaded) await memory.send(uploaded);
        }
      }
    })(),
    (async () => {
      for await (const { adapter } of loader) {
        await memory.send({ kind: "loaded", adapter, image: IMAGE });
      }
    })(),
  ];
  async function stop() {
    former.close();
    const second = await actors[1].stopped;
    for (const channel of [memory, executor, loader]) channel.close();
    const first = await actors[0].stopped;
    await Promise.all(workers);
    return [first, second];
  }
  return { former, memory, outbox, actors, stop };
}

/** Events until each of `requests` has ended and the pool is told to hold no KV: all is at rest then. */
async function eventsUntilRest(outbox: Channel<EngineEvent>, requests: number) {
  const events: EngineEvent[] = [];
  let ended = 0;
  let kvPages = -1;
  while (ended < requests || kvPages !== 0) {
    const event = await outbox.receive();
    events.push(event);
    if (event.kind === "progressed") {
      ended += event.outputs.filter((output) => output.end).length;
      kvPages = -1;
    }
    if (event.kind === "load_changed") kvPages = event.load.kvPages;
  }
  return events;
}

const outputsOf = (events: readonly EngineEvent[]): Output[] =>
  events.flatMap((event) => event.kind === "progressed" ? event.outputs : []);

Deno.test("both actors serve many requests and adapters even where every mailbox holds one message", async () => {
  const { former, memory, outbox, stop } = startEngine(1);
  const sequences = Array.from(
    { length: 40 },
    (_, i) => sequenceOf(`r${i}`, 1 + i, i % 4 === 0 ? {} : using(`a${i % 12}`)),
  );
  const collecting = eventsUntilRest(outbox, sequences.length);
  for (let i = 0; i < 12; i++) {
    await memory.send({ kind: "register", adapter: adapterId(`a${i}`), path: "" });
  }
  for (const sequence of sequences) await former.send({ kind: "submit", sequence });
  const outputs = outputsOf(await collecting);
  for (const sequence of sequences) {
    const mine = outputs.filter((output) => output.request === sequence.id);
    const tokens = mine.flatMap((output) => output.tokens.map(({ token }) => token));
    assertEquals(tokens, runAlone(sequence).tokens);
    assertEquals(mine.filter((output) => output.end).length, 1);
  }
  assertEquals(await stop(), [{ kind: "stopped" }, { kind: "stopped" }]);
});

Deno.test("a step's tokens go out in one event, one entry a request", async () => {
  const { former, outbox, stop } = startEngine(64);
  for (const id of ["a", "b", "c"]) {
    await former.send({ kind: "submit", sequence: sequenceOf(id, 2, { maxTokens: 3 }) });
  }
  const events = await eventsUntilRest(outbox, 3);
  const progressed = events.filter((event) => event.kind === "progressed");
  assertEquals(progressed.map((event) => event.outputs.map((output) => output.request)), [
    ["a", "b", "c"].map(requestId),
    ["a", "b", "c"].map(requestId),
    ["a", "b", "c"].map(requestId),
  ]);
  await stop();
});

Deno.test("the load is told when work ends, with nothing in the pool but cached blocks", async () => {
  const { former, outbox, stop } = startEngine(64);
  await former.send({ kind: "submit", sequence: sequenceOf("a", 40) });
  const event = (await eventsUntilRest(outbox, 1)).at(-1);
  assert(event?.kind === "load_changed");
  const { running, waiting, pages, freePages, cachedPages, steps } = event.load;
  assertEquals({ running, waiting, pages, freePages, cachedPages }, {
    running: 0,
    waiting: 0,
    pages: 24,
    freePages: 22, // 47 tokens were computed: two full blocks
    cachedPages: 2,
  });
  assertEquals(steps, 10); // 40 tokens in chunks of 16, and 7 more tokens
  await stop();
});

Deno.test("a failed step ends the batch former, so that the engine starts anew", async () => {
  const { former, actors, stop } = startEngine(8);
  await former.send({ kind: "step_failed", step: stepId(1), error: "device lost" });
  const exit = await actors[1].stopped;
  assert(exit?.kind === "crashed" && exit.error instanceof Error);
  assertEquals(exit.error.message, "Cannot run step 1: device lost");
  await stop();
});

Deno.test("the batch former goes on taking messages while its neighbours' mailboxes are full", async () => {
  const mailbox = new Channel<BatchFormer.Command>({ capacity: 1 });
  const memory = new Channel<MemoryManager.Command>({ capacity: 1 });
  const executor = new Channel<Executor.Command>({ capacity: 1 });
  const outbox = new Channel<EngineEvent>({ capacity: 8 });
  const limits = { maxRunning: 4, maxBatchTokens: 16, maxLogitRows: 8 };
  await memory.send({ kind: "release", request: requestId("somebody's") });
  const former = spawn(
    batchFormer({ limits, epoch: epoch(1), mailbox, memory, executor, outbox }),
    mailbox,
  );
  for (const id of ["a", "b", "c", "d"]) {
    await mailbox.send({ kind: "submit", sequence: sequenceOf(id, 2) });
    await new Promise((resolve) => setTimeout(resolve, 1)); // it has nothing else to do: it plans
  }
  await memory.receive();
  const plan = await memory.receive();
  assert(plan.kind === "plan" && plan.wants.length === 1);
  mailbox.close();
  assertEquals(await former.stopped, { kind: "stopped" });
});
