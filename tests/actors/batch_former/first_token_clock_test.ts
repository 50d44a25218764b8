import { assertEquals } from "@std/assert";
import { FirstTokenClock } from "../../../actors/batch_former/first_token_clock.ts";

Deno.test("each moment until the first token counts for what was waited for, and nothing after it", () => {
  let now = 100;
  const clock = new FirstTokenClock(() => now);
  const turns = [["adapterMs", 7], ["queueMs", 20], ["adapterMs", 50], ["prefillMs", 54]] as const;
  for (const [what, at] of turns) {
    now = 100 + at;
    clock.turnTo(what);
  }
  now = 190;
  clock.turnTo("queueMs"); // preempted
  now = 200;
  assertEquals(clock.stop(), { queueMs: 7 + 30 + 10, adapterMs: 13 + 4, prefillMs: 36 });
  clock.turnTo("prefillMs");
  assertEquals(clock.stop(), null);
});
