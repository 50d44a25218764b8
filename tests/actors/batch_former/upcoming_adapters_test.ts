import { assertEquals } from "@std/assert";
import { upcomingAdapters } from "../../../actors/batch_former/upcoming_adapters.ts";
import { sequenceOf, using } from "./sequences.ts";

const queued = (...adapters: string[]) => sequenceOf("r", 1, using(...adapters));

Deno.test("upcomingAdapters() names those of the queue in its order, once, without those asked for now", () => {
  const queue = [queued("a"), queued("b", "a"), queued(), queued("c"), queued("b")];
  assertEquals(upcomingAdapters(queue, []).join(), "a,b,c");
  assertEquals(upcomingAdapters(queue, queue.slice(0, 2)).join(), "c,b");
});

Deno.test("upcomingAdapters() looks at the front of a long queue only, and names few", () => {
  const many = Array.from({ length: 100 }, (_, i) => queued(`a${i}`));
  assertEquals(upcomingAdapters(many, []).length, 16);
  const same = Array.from({ length: 64 }, () => queued("a"));
  assertEquals(upcomingAdapters([...same, queued("b")], []).join(), "a");
});
