import { assertEquals } from "@std/assert";
import { ShrinkWork } from "../../../actors/executor/shrink_work.ts";

Deno.test("tokens of one adapter share items by fours, and each module has items for its own ranks alone", () => {
  const work = new ShrinkWork();
  for (let row = 0; row < 5; row++) work.add(7, [16, 0, 17], row, 0);
  work.add(9, [0, 1, 0], 5, 1);
  assertEquals(work.tables(3), {
    items: [
      [7, 0, 4, 0, 7, 4, 1, 0],
      [9, 5, 1, 0 + 16],
      [7, 0, 4, 0 + 32, 7, 0, 4, 1 + 32, 7, 4, 1, 0 + 32, 7, 4, 1, 1 + 32],
    ],
    entries: [0, 16, 32, 48, 64, 5 * 16 + 1],
  });
});

Deno.test("tokens without an adapter, or with one of other modules, make no work", () => {
  const work = new ShrinkWork();
  work.add(null, [16], 0, 0);
  work.add(7, [0, 0], 1, 0);
  assertEquals(work.tables(2), { items: [[], []], entries: [] });
});
