/// <reference lib="deno.window" />
// The engine process as actors/engine.ts wires it, with an executor that answers at once and no adapters: what is
// left is the cost of the actors themselves.
import { spawn } from "../../actors/actor.ts";
import { batchFormer } from "../../actors/batch_former/actor.ts";
import type * as BatchFormer from "../../actors/batch_former/protocol.ts";
import { Channel } from "../../actors/channel.ts";
import type { EngineOptions } from "../../actors/engine_options.ts";
import type { EngineCommand } from "../../actors/engine_protocol.ts";
import type * as Executor from "../../actors/executor/protocol.ts";
import type * as Loader from "../../actors/loader/protocol.ts";
import { memoryManager } from "../../actors/memory_manager/actor.ts";
import { RESIDENCY_DEFAULTS } from "../../actors/memory_manager/manager.ts";
import type * as MemoryManager from "../../actors/memory_manager/protocol.ts";
import { openPort } from "../../actors/port_channel.ts";
import type { EngineEvent } from "../../actors/request_router/protocol.ts";
import { openSocket } from "../../actors/socket_channel.ts";
import { epoch as epochOf } from "../../memory/ids.ts";
import { BLOCK_TOKENS } from "../../models/adapter_image.ts";

const [stepMs = "0", optionsText = ""] = Deno.args;
const options = JSON.parse(optionsText) as EngineOptions;
const epoch = epochOf(options.epoch);
const maxModelLen = options.maxModelLen ?? 4096;
const blocks = options.maxRunning * Math.ceil(maxModelLen / BLOCK_TOKENS);

const front = openSocket<EngineEvent, EngineCommand>(
  await Deno.connect({ transport: "unix", path: options.socket }),
  { capacity: 1024 },
);
const outbox = front.sender;
const worker = new Worker(new URL("./instant_executor.ts", import.meta.url), {
  type: "module",
  name: stepMs,
});
const executor = openPort<Executor.Command, Executor.Event>(worker, { capacity: 64 });
const former = new Channel<BatchFormer.Command>({ capacity: 4096 });
const memory = new Channel<MemoryManager.Command>({ capacity: 4096 });
const loader = new Channel<Loader.Command>({ capacity: 1 });
const shape = { layerPages: blocks, headPages: 0, blockTokens: BLOCK_TOKENS, pagesPerBlock: 1 };
const { maxRunning, maxBatchTokens } = options;
const limits = { maxRunning, maxBatchTokens, maxLogitRows: maxRunning };
const actors = [
  spawn(
    memoryManager({
      shape,
      limits: RESIDENCY_DEFAULTS,
      epoch,
      loader,
      executor: executor.sender,
      former,
      outbox,
    }),
    memory,
  ),
  spawn(
    batchFormer({ limits, epoch, mailbox: former, memory, executor: executor.sender, outbox }),
    former,
  ),
];
for (const { name, stopped } of actors) {
  stopped.then((exit) => {
    console.error(`Cannot go on: ${name} ${exit.kind}`, exit.kind === "crashed" ? exit.error : "");
    Deno.exit(1);
  });
}
await outbox.send({
  kind: "engine_ready",
  epoch,
  limits: {
    maxModelLen,
    poolTokens: blocks * BLOCK_TOKENS,
    pagesPerBlock: 1,
    device: "none",
    software: true,
    provider: "builtin",
  },
});

async function commands(): Promise<void> {
  for await (const command of front.receiver) {
    if (command.kind === "ping") {
      await outbox.send({ kind: "pong", epoch, sequence: command.sequence });
    } else if (command.kind === "register") {
      const error = "Cannot load adapters: this engine has no model";
      await outbox.send({ kind: "adapter_rejected", epoch, adapter: command.adapter, error });
    } else if (
      command.kind === "submit" || command.kind === "cancel" || command.kind === "extend_credit"
    ) await former.send(command);
  }
}

async function results(): Promise<void> {
  for await (const event of executor.receiver) {
    if (event.kind === "stepped") await former.send(event);
  }
}

await Promise.race([commands(), results()]).catch(() => {});
Deno.exit(0);
