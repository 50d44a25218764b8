/// <reference lib="deno.window" />
// The engine process: batch former and memory manager in this isolate, the executor and the loaders in Workers.
// Whatever goes wrong here ends the process; the front starts another and replays its ledger.
import { type Epoch, epoch as epochOf } from "../memory/ids.ts";
import { BLOCK_TOKENS } from "../models/adapter_image.ts";
import { spawn } from "./actor.ts";
import { batchFormer } from "./batch_former/actor.ts";
import type * as BatchFormer from "./batch_former/protocol.ts";
import { Channel, type Sender } from "./channel.ts";
import type { EngineOptions } from "./engine_options.ts";
import type { EngineCommand } from "./engine_protocol.ts";
import type * as Executor from "./executor/protocol.ts";
import { Watchdog } from "./executor/watchdog.ts";
import type * as Loader from "./loader/protocol.ts";
import { memoryManager } from "./memory_manager/actor.ts";
import type * as MemoryManager from "./memory_manager/protocol.ts";
import { messageOf } from "./message_of.ts";
import { openPort } from "./port_channel.ts";
import { collectGarbage, SharedGarbage } from "./shared_garbage.ts";
import type { EngineEvent } from "./request_router/protocol.ts";
import { openSocket, type SocketLink } from "./socket_channel.ts";
import { spread } from "./spread.ts";

const CAPACITY = { socket: 1024, executor: 64, loader: 64, former: 4096, memory: 4096 } as const;

/** An adapter that failed to load is not looked at again for so long. */
const RETRY_MS = 5000;
const TICK_MS = 100;

/** Threads that read, check and pack adapters, 25 ms each for one of 15 MB: the executor and the front need theirs. */
const loadersFor = (processors: number) => Math.min(4, Math.max(1, Math.floor(processors / 4)));

/** A Worker whose crash is this process's crash, and a link to it. */
function startWorker<Out, In>(file: string, options: EngineOptions, capacity: number) {
  const worker = new Worker(new URL(file, import.meta.url), { type: "module" });
  worker.addEventListener("error", (event) => {
    event.preventDefault();
    fail(`${file}: ${event.message}`);
  });
  const link = openPort<Out, In>(worker, { capacity });
  worker.postMessage({ kind: "start", options });
  return link;
}

function fail(why: string): never {
  console.error(`Cannot go on: ${why}`);
  Deno.exit(1);
}

async function forward<M>(
  from: AsyncIterable<M>,
  to: (message: M) => Promise<void>,
): Promise<void> {
  for await (const message of from) await to(message);
}

async function run(options: EngineOptions): Promise<void> {
  const epoch: Epoch = epochOf(options.epoch);
  const front = openSocket<EngineEvent, EngineCommand>(
    await Deno.connect({ transport: "unix", path: options.socket }),
    { capacity: CAPACITY.socket },
  );
  const outbox: Sender<EngineEvent> = front.sender;
  const loaders = Array.from(
    { length: loadersFor(navigator.hardwareConcurrency) },
    () =>
      startWorker<Loader.Command, Loader.Event>(
        "./loader/worker.ts",
        options,
        CAPACITY.loader,
      ),
  );
  const executor = startWorker<Executor.Command, Executor.Event>(
    "./executor/worker.ts",
    options,
    CAPACITY.executor,
  );

  const ready = await executorReady(executor.receiver, epoch, front);
  const watchdog = new Watchdog(executor.sender, ready.software);
  setInterval(() => {
    const silence = watchdog.overdue;
    if (silence !== null) fail(`the executor has not answered a step for ${silence} ms`);
  }, 5000);
  const former = new Channel<BatchFormer.Command>({ capacity: CAPACITY.former });
  const memory = new Channel<MemoryManager.Command>({ capacity: CAPACITY.memory });
  const garbage = new SharedGarbage(options.adapterHostBytes);
  const actors = [
    spawn(
      memoryManager({
        shape: {
          layerPages: ready.layerPages,
          headPages: ready.headPages,
          blockTokens: BLOCK_TOKENS,
          pagesPerBlock: ready.pagesPerBlock,
          prefixCache: options.prefixCache,
          overCommit: options.overCommit ?? 1,
        },
        limits: {
          hostBytes: options.adapterHostBytes,
          uploadBytesPerStep: options.uploadBytesPerStep,
          retryMs: RETRY_MS,
          sequenceTokens: ready.maxModelLen,
        },
        epoch,
        loader: spread(loaders.map(({ sender }) => sender), ({ adapter }) => adapter),
        executor: watchdog.sender,
        former,
        outbox,
        garbage,
      }),
      memory,
    ),
    spawn(
      batchFormer({
        limits: {
          maxRunning: options.maxRunning,
          maxBatchTokens: options.maxBatchTokens,
          maxLogitRows: ready.maxLogitRows,
          policy: options.policy,
          learnsOutput: options.overCommit === null,
        },
        epoch,
        mailbox: former,
        memory,
        executor: watchdog.sender,
        outbox,
      }),
      former,
    ),
  ];
  // With nothing else to do no message comes, and still somebody may wait for too long, or adapters come and go.
  const collections = [collectGarbage, ...[executor, ...loaders].map(({ collect }) => collect)];
  let due: (() => void)[] = [];
  setInterval(() => {
    former.trySend({ kind: "tick" });
    if (due.length === 0 && garbage.due(performance.now())) due = [...collections];
    due.shift()?.(); // one isolate after the other: they may share a processor
  }, TICK_MS);
  for (const { name, stopped } of actors) {
    stopped.then((exit) =>
      fail(`${name} ${exit.kind}${exit.kind === "crashed" ? `: ${String(exit.error)}` : ""}`)
    );
  }
  const poolTokens = Math.floor(ready.layerPages / ready.pagesPerBlock) * BLOCK_TOKENS;
  await outbox.send({
    kind: "engine_ready",
    epoch,
    limits: {
      maxModelLen: ready.maxModelLen,
      poolTokens,
      pagesPerBlock: ready.pagesPerBlock,
      device: ready.device,
      software: ready.software,
      provider: ready.provider,
    },
  });

  await Promise.race([
    forward(front.receiver, async (command) => {
      switch (command.kind) {
        case "register":
        case "unregister":
        case "pin":
        case "unpin":
        case "list_adapters":
          return await memory.send(command);
        case "ping":
          return await outbox.send({ kind: "pong", epoch, sequence: command.sequence });
        case "submit":
        case "cancel":
        case "extend_credit":
          return await former.send(command);
        default:
          command satisfies never;
      }
    }),
    forward(executor.receiver, async (event) => {
      if (event.kind === "uploaded") return await memory.send(event);
      if (event.kind !== "stepped" && event.kind !== "step_failed") return;
      watchdog.answered();
      await former.send(event);
    }),
    ...loaders.map(({ receiver }) => forward(receiver, (event) => memory.send(event))),
  ]);
  // The front is gone, or has hung up: there is nobody left to work for.
  Deno.exit(0);
}

/** Passes start-up progress on until the executor is ready; where it cannot start, the front tells why. */
async function executorReady(
  events: AsyncIterable<Executor.Event>,
  epoch: Epoch,
  front: SocketLink<EngineEvent, EngineCommand>,
): Promise<Extract<Executor.Event, { kind: "executor_ready" }>> {
  for await (const event of events) {
    if (event.kind === "executor_ready") return event;
    if (event.kind === "start_failed") {
      await front.sender.send({ kind: "start_failed", epoch, error: event.error });
      front.close();
      await front.ended;
      Deno.exit(1);
    }
    if (event.kind === "progress") await front.sender.send({ ...event, epoch });
  }
  return fail("the executor ended before it was ready");
}

// Ctrl-C reaches the whole process group; it is the front that decides when this process ends.
Deno.addSignalListener("SIGINT", () => {});
const [text = ""] = Deno.args;
try {
  await run(JSON.parse(text) as EngineOptions);
} catch (error) {
  fail(messageOf(error));
}
