import { assert, assertEquals } from "@std/assert";
import { paceDawn, pauseFor } from "../../kernels/dawn_pace.ts";

/** Turns of `setImmediate` until `milliseconds` have passed. */
async function turns(milliseconds: number): Promise<number> {
  const start = performance.now();
  let count = 0;
  while (performance.now() - start < milliseconds) {
    await new Promise<void>((resolve) => setImmediate(resolve));
    count++;
  }
  return count;
}

Deno.test("a paced thread takes few turns while it waits for a result, and as many as ever otherwise", async () => {
  const own = globalThis.setImmediate;
  try {
    const pace = paceDawn();
    const free = await turns(30);
    for (let i = 0; i < 3; i++) {
      pace.begin();
      await turns(30);
      pace.end();
    }
    pace.begin();
    // Most of the wait is one sleep, as the waits before took as long.
    const paced = await turns(30);
    pace.end();
    assert(paced <= 30, `${paced} turns`);
    assert(free > 2 * paced, `${free} turns without a wait`);
  } finally {
    Object.assign(globalThis, { setImmediate: own });
  }
});

Deno.test("pauseFor() sleeps until shortly before the shortest of the last waits is over, then ever longer", () => {
  assertEquals(pauseFor(0, [40, 10, 20]), 9);
  assertEquals(pauseFor(3, [40, 10, 20]), 6);
  const later = [9, 20, 40].map((elapsed) => pauseFor(elapsed, [40, 10, 20]));
  assertEquals(later, [9 / 32, 20 / 32, 1]);
  assertEquals(pauseFor(0, []), 0.02);
});
