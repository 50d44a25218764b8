import { assertEquals } from "@std/assert";
import { Channel } from "../../../actors/channel.ts";
import type { Command } from "../../../actors/executor/protocol.ts";
import { Watchdog } from "../../../actors/executor/watchdog.ts";
import { slotId, stepId } from "../../../memory/ids.ts";

Deno.test("Watchdog reports an executor that has a step and answers none for two minutes", async () => {
  let now = 0;
  const inbox = new Channel<Command>({ capacity: 8 });
  const watchdog = new Watchdog(inbox, () => now);
  await watchdog.sender.send({ kind: "close", slot: slotId(0) });
  now = 1e6;
  assertEquals(watchdog.overdue, null, "an idle executor owes nothing");
  await watchdog.sender.send({ kind: "step", step: stepId(1), rows: [] });
  watchdog.sender.trySend({ kind: "step", step: stepId(2), rows: [] });
  assertEquals(inbox.size, 3);
  now += 119_000;
  assertEquals(watchdog.overdue, null);
  watchdog.answered();
  now += 119_000;
  assertEquals(watchdog.overdue, null, "an answer begins the time anew");
  now += 2000;
  assertEquals(watchdog.overdue, 121_000);
  watchdog.answered();
  assertEquals(watchdog.overdue, null);
});
