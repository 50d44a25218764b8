import { assert, assertEquals } from "@std/assert";
import { DawnPace, DueTime, paceDawn } from "../../kernels/dawn_pace.ts";

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

Deno.test("a paced thread takes few turns while it waits for a result, and not many more while nobody waits", async () => {
  const own = globalThis.setImmediate;
  try {
    const free = await turns(30);
    const pace = paceDawn();
    const idle = await turns(30);
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
    assert(free > 2 * paced, `${free} turns without a pace`);
    // Buffers that an upload has left to the GPU come back in turns like these, which must not be thousands.
    assert(idle <= 30 / 2 + 1, `${idle} turns without a wait`);
  } finally {
    Object.assign(globalThis, { setImmediate: own });
  }
});

Deno.test("a thread hears of messages as soon with Dawn's turns as without, where it waits for nothing of Dawn's", async () => {
  const start = () =>
    new Worker(new URL("../support/paced_worker.ts", import.meta.url), { type: "module" });
  const [free, paced] = [start(), start()];
  const answer = async (worker: Worker, begin = false) => {
    const start = performance.now();
    const answered = new Promise((resolve) => worker.onmessage = resolve);
    worker.postMessage(begin);
    await answered;
    return performance.now() - start;
  };
  try {
    await answer(free);
    await answer(paced, true);
    const delays: [number[], number[]] = [[], []];
    for (let i = 0; i < 30; i++) {
      for (const [which, worker] of [free, paced].entries()) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        delays[which]?.push(await answer(worker));
      }
    }
    const [without = 0, turns = Infinity] = delays.map((some) => some.sort((a, b) => a - b)[15]);
    assert(turns < 4 * without + 1, `${turns} ms, ${without} without turns`);
  } finally {
    for (const worker of [free, paced]) worker.terminate();
  }
});

Deno.test("a wait that begins does not have the turn before it keep its time", async () => {
  const turns: (() => void)[] = [];
  const pace = new DawnPace((turn) => turns.push(turn));
  let taken = 0;
  pace.take(() => taken++);
  turns.shift()?.(); // the first look is taken at once
  pace.take(() => taken++);
  assertEquals([taken, turns.length], [1, 0]);
  pace.begin();
  assertEquals(turns.length, 1);
  turns.shift()?.();
  pace.end();
  await new Promise((resolve) => setTimeout(resolve, 10));
  assertEquals(taken, 2);
});

Deno.test("a result is slept for until shortly before the shortest of the last waits is over, then ever longer", () => {
  const due = new DueTime();
  for (const wait of [40, 10, 20]) due.waited(wait, 5);
  assertEquals([due.sleep(0, 0), due.sleep(3, 0)], [9, 6]);
  assertEquals([9, 20, 40].map((elapsed) => due.sleep(elapsed, 1)), [9 / 32, 20 / 32, 1]);
  for (let i = 0; i < 8; i++) due.waited(30, 5);
  assertEquals(due.sleep(0, 0), 27);
});

Deno.test("before anything is known, the first look comes at once", () => {
  assertEquals(new DueTime().sleep(0, 0), 0);
});

/** Waits for results that are there after `ready`, where a sleep lasts 0.1 longer than it should. */
function waits(due: DueTime, ready: number, count: number): number[] {
  return Array.from({ length: count }, () => {
    let [elapsed, looks] = [0, 0];
    do {
      const sleep = due.sleep(elapsed, looks++);
      elapsed += sleep > 0 ? sleep + 0.1 : 0.01;
    } while (elapsed < ready);
    due.waited(elapsed, looks);
    return elapsed;
  });
}

Deno.test("results that are ready sooner than they were are soon not slept for any longer than they take", () => {
  for (const [before, ready] of [[20, 0], [20, 0.5], [20, 3]] as const) {
    const due = new DueTime();
    waits(due, before, 8);
    const last = waits(due, ready, 40).slice(-20);
    assert(Math.max(...last) < 1.1 * ready + 0.25, `${ready}: ${last}`);
  }
});

Deno.test("results that take longer than they did are slept for in one piece, but for a few looks", () => {
  const due = new DueTime();
  waits(due, 0, 8);
  waits(due, 5, 8);
  assert(due.sleep(0, 0) > 4 && due.sleep(0, 0) < 5);
});
