/// <reference lib="deno.worker" />
import type { EngineOptions } from "../engine_options.ts";
import { messageOf } from "../message_of.ts";
import { openPort, type Port } from "../port_channel.ts";
import type { Command, Event } from "./protocol.ts";
import { runSteps } from "./run_steps.ts";
import { startExecutor } from "./start_executor.ts";

// The executor has a thread of its own: reading results back blocks it until the GPU is done.
const { sender, receiver } = openPort<Event, Command>(self as unknown as Port, { capacity: 64 });

self.addEventListener("message", function begin(event: MessageEvent) {
  if (event.data?.kind !== "start") return;
  self.removeEventListener("message", begin);
  run(event.data.options as EngineOptions);
});

async function run(options: EngineOptions): Promise<void> {
  let started;
  try {
    started = await startExecutor(options, (progress) => void sender.trySend(progress));
  } catch (error) {
    return await sender.send({ kind: "start_failed", error: messageOf(error) });
  }
  await sender.send(started.ready);
  // What goes wrong from here on is this Worker's error, which ends the engine.
  await runSteps(started.executor, receiver, sender);
}
