/// <reference lib="deno.worker" />
import { openPort, type Port } from "../port_channel.ts";
import type { EngineOptions } from "../engine_options.ts";
import type { Command, Event } from "./protocol.ts";
import { startExecutor } from "./start_executor.ts";

// The executor has a thread of its own: reading results back blocks it until the GPU is done.
const { sender, receiver } = openPort<Event, Command>(self as unknown as Port, { capacity: 64 });

self.addEventListener("message", function begin(event: MessageEvent) {
  if (event.data?.kind !== "start") return;
  self.removeEventListener("message", begin);
  run(event.data.options as EngineOptions);
});

async function run(options: EngineOptions): Promise<void> {
  let executor;
  try {
    const started = await startExecutor(options, (progress) => void sender.trySend(progress));
    executor = started.executor;
    await sender.send(started.ready);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return await sender.send({ kind: "start_failed", error: message });
  }
  for await (const command of receiver) {
    if (command.kind !== "step") {
      await executor.apply(command);
      continue;
    }
    try {
      const rows = await executor.step(command);
      await sender.send({ kind: "stepped", step: command.step, rows });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await sender.send({ kind: "step_failed", step: command.step, error: message });
    }
  }
}
