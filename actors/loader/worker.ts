/// <reference lib="deno.worker" />
import { pageGeometry } from "../../models/adapter_image.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { openPeftAdapter } from "../../models/peft_adapter.ts";
import type { EngineOptions } from "../engine_options.ts";
import { openPort, type Port } from "../port_channel.ts";
import type { Command, Event } from "./protocol.ts";

// Reading, checking and packing adapters has a thread of its own, so that no stream waits for a file.
const { sender, receiver } = openPort<Event, Command>(self as unknown as Port, { capacity: 64 });

self.addEventListener("message", function begin(event: MessageEvent) {
  if (event.data?.kind !== "start") return;
  self.removeEventListener("message", begin);
  run(event.data.options as EngineOptions);
});

async function run(options: EngineOptions): Promise<void> {
  const config = await loadModelConfig(options.modelDirectory);
  const geometry = pageGeometry(config.kvHeads, config.headDim);
  using base = Checkpoint.open(options.modelDirectory);
  await sender.send({ kind: "loader_ready" });
  for await (const { adapter, path } of receiver) {
    try {
      using files = openPeftAdapter(path, config, base);
      await sender.send({ kind: "loaded", adapter, image: packAdapter(files, config, geometry) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      await sender.send({ kind: "load_failed", adapter, error: message });
    }
  }
}
