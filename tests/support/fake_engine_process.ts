import { epoch as epochOf } from "../../memory/ids.ts";
import type { EngineCommand } from "../../actors/engine_protocol.ts";
import type { EngineEvent } from "../../actors/request_router/protocol.ts";
import { openSocket } from "../../actors/socket_channel.ts";
import { FAKE_LIMITS, FakeEngine } from "./fake_engine.ts";

/** How a fake engine process behaves, as its second argument says. */
export type Manner =
  | "honest"
  | "exits"
  | "never connects"
  | "cannot start"
  | "speaks as another"
  | "hangs up"
  | "ignores SIGTERM";

if (import.meta.main) {
  const [socket = "", epochText = "", manner = "honest"] = Deno.args as [string, string, Manner];
  const epoch = epochOf(Number(epochText));
  if (manner === "exits") Deno.exit(3);
  if (manner === "ignores SIGTERM") Deno.addSignalListener("SIGTERM", () => {});
  if (manner === "never connects") await new Promise((resolve) => setTimeout(resolve, 60_000));

  const conn = await Deno.connect({ transport: "unix", path: socket });
  const link = openSocket<EngineEvent, EngineCommand>(conn, { capacity: 256 });
  const { sender } = link;
  if (manner === "cannot start") {
    await sender.send({ kind: "start_failed", epoch, error: "the pool does not fit the card" });
    sender.close();
    await new Promise((resolve) => setTimeout(resolve, 60_000));
  }
  if (manner === "hangs up") sender.close();
  const engine = new FakeEngine(manner === "speaks as another" ? epochOf(epoch + 7) : epoch);
  // The device names the process, so that a test can do to it what operators and kernels do.
  const limits = { ...FAKE_LIMITS, device: String(Deno.pid) };
  sender.trySend({ kind: "engine_ready", epoch: engine.epoch, limits });

  const timer = setInterval(() => {
    const event = engine.step();
    if (event) sender.send(event).catch(() => {});
  }, 2);
  try {
    for await (const command of link.receiver) {
      const answer = engine.handle(command);
      if (answer) await sender.send(answer);
    }
  } catch {
    // The front is gone.
  }
  if (manner !== "ignores SIGTERM") clearInterval(timer);
}
