import { assertEquals } from "@std/assert";
import { SharedGarbage } from "../../actors/shared_garbage.ts";

const MIB = 2 ** 20;

Deno.test("garbage is collected once enough was dropped, and not again for the same", () => {
  const garbage = new SharedGarbage(2048 * MIB);
  garbage.dropped(127 * MIB, 0);
  assertEquals(garbage.due(1), false);
  garbage.dropped(128 * MIB, 1);
  assertEquals([garbage.due(2), garbage.due(3), garbage.due(5000)], [true, false, false]);
  garbage.dropped(255 * MIB, 5000);
  assertEquals(garbage.due(5001), false);
});

Deno.test("little garbage is collected a second after the last of it, however small the limit", () => {
  const garbage = new SharedGarbage(MIB);
  assertEquals(garbage.due(10_000), false);
  garbage.dropped(2 * MIB, 10_000);
  garbage.dropped(3 * MIB, 10_900);
  garbage.dropped(3 * MIB, 11_500); // nothing new
  assertEquals([10_999, 11_899, 11_900, 20_000].map((now) => garbage.due(now)), [
    false,
    false,
    true,
    false,
  ]);
});

Deno.test("little garbage is not collected again at once, much is", () => {
  const garbage = new SharedGarbage(64 * MIB);
  garbage.dropped(MIB, 0);
  assertEquals(garbage.due(1000), true);
  garbage.dropped(2 * MIB, 1100);
  assertEquals([2100, 10_999, 11_000].map((now) => garbage.due(now)), [false, false, true]);
  garbage.dropped(66 * MIB, 11_100);
  assertEquals(garbage.due(11_101), true);
});
