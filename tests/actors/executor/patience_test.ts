import { assertEquals } from "@std/assert";
import { Patience } from "../../../actors/executor/patience.ts";

const after = (...seconds: readonly number[]): number => {
  const patience = new Patience();
  for (const each of seconds) patience.took(each);
  return patience.milliseconds;
};

Deno.test("the next step is waited for half as long as the shortest of the last four steps took", () => {
  assertEquals(after(0.02, 0.016, 0.012, 0.02), 6);
  assertEquals(after(0.005, 0.02, 0.016, 0.012, 0.02), 6);
});

Deno.test("it is 2 ms at least, 2 ms until there were four, and 10 ms at most", () => {
  assertEquals([after(), after(1, 1, 1)], [2, 2]);
  assertEquals(after(0.001, 0.02, 0.02, 0.02), 2);
  assertEquals(after(1, 1, 1, 1), 10);
});
