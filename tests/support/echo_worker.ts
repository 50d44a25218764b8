/// <reference lib="deno.worker" />
import { openPort } from "../../actors/port_channel.ts";

// A real worker takes its time: it imports, compiles, and only then listens.
await new Promise((resolve) => setTimeout(resolve, 30));
const link = openPort<unknown, unknown>(self, { capacity: Number(self.name) });
try {
  for await (const message of link.receiver) await link.sender.send(message);
  link.sender.close();
} catch (error) {
  link.sender.close(error as Error);
}
self.postMessage({ kind: "ended" });
