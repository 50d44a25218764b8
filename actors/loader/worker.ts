/// <reference lib="deno.worker" />
import { readAdapterFiles } from "../../models/adapter_files.ts";
import { pageGeometry } from "../../models/adapter_image.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { parsePeftAdapter } from "../../models/peft_adapter.ts";
import type { EngineOptions } from "../engine_options.ts";
import { openPort, type Port } from "../port_channel.ts";
import { AdapterLoader } from "./adapter_loader.ts";
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
  const loader = new AdapterLoader({
    timeoutMs: options.adapterLoadMs,
    read: (directory) => readAdapterFiles(directory, options.adapterHostBytes),
    pack: (files) => {
      using adapter = parsePeftAdapter(files, config, base);
      return packAdapter(adapter, config, geometry);
    },
  });
  for await (const command of receiver) {
    // Not awaited: the manager bounds how many there are at once, and none waits for another.
    void loader.load(command).then((event) => sender.send(event));
  }
}
