import { assertEquals, assertThrows } from "@std/assert";
import {
  chooseHolder,
  chooseVictims,
  type Victim,
} from "../../../actors/batch_former/preemption.ts";
import { requestId } from "../../../memory/ids.ts";

const sequence = (arrival: number, more: Partial<Victim> = {}): Victim => ({
  arrival,
  phase: "decoding",
  rebuildTokens: 50,
  pages: 4,
  heldSince: 0,
  ...more,
});

const starving = (state: Victim, neededPages = 1, freePages = 0) => ({
  state,
  grant: {
    kind: "exhausted" as const,
    pool: "layers" as const,
    request: requestId("r"),
    neededPages,
    freePages,
  },
});

Deno.test("chooseVictims() takes the sequence with the fewest tokens to compute again", () => {
  const running = [sequence(0), sequence(1, { rebuildTokens: 20 }), sequence(2)];
  assertEquals(chooseVictims(running, [starving(sequence(2))]), [running[1] as Victim]);
});

Deno.test("chooseVictims() takes the newest among equals", () => {
  const running = [sequence(0), sequence(1), sequence(2)];
  assertEquals(chooseVictims(running, [starving(sequence(0))]), [running[2] as Victim]);
});

Deno.test("chooseVictims() spares the oldest that can go on, even where it is the cheapest", () => {
  const running = [sequence(0, { rebuildTokens: 1 }), sequence(1)];
  assertEquals(chooseVictims(running, [starving(sequence(1))]), [running[1] as Victim]);
});

Deno.test("chooseVictims() takes those of the last class first, however dear, and spares the oldest of the first", () => {
  const running = [
    sequence(0, { rebuildTokens: 90 }),
    sequence(1, { rebuildTokens: 1 }),
    sequence(2),
  ];
  const rank = (state: Victim) => state.arrival === 0 ? 5 : -1;
  const victims = chooseVictims(running, [starving(running[2] as Victim, 8)], rank);
  assertEquals(victims.map(({ arrival }) => arrival), [0, 2]);
});

Deno.test("chooseVictims() may take the oldest of all while it has no credit", () => {
  const running = [sequence(0, { rebuildTokens: 1, phase: "holding" }), sequence(1), sequence(2)];
  assertEquals(chooseVictims(running, [starving(sequence(1))]), [running[0] as Victim]);
});

Deno.test("chooseVictims() takes as many as the starved ones need, and counts what is coming back", () => {
  const running = [sequence(0), sequence(1), sequence(2), sequence(3)];
  assertEquals(chooseVictims(running, [starving(sequence(0), 6, 1)]).length, 2);
  running.push(sequence(4, { phase: "leaving", pages: 5 }));
  assertEquals(chooseVictims(running, [starving(sequence(0), 6, 1)]), []);
});

Deno.test("chooseVictims() no longer feeds a starved sequence that is itself a victim", () => {
  const youngest = sequence(2, { rebuildTokens: 1, pages: 1 });
  const running = [sequence(0), sequence(1), youngest];
  assertEquals(chooseVictims(running, [starving(running[0] as Victim), starving(youngest)]), [
    youngest,
  ]);
});

Deno.test("chooseVictims() throws where nobody has pages: such an answer cannot be true", () => {
  const alone = sequence(0);
  assertThrows(() => chooseVictims([alone], [starving(alone)]), Error, "Cannot find pages");
});

Deno.test("chooseHolder() takes one that has long been without credit, unless pages are coming back", () => {
  const holder = sequence(0, { phase: "holding", heldSince: 10 });
  assertEquals(chooseHolder([holder, sequence(1)], 9), undefined);
  assertEquals(chooseHolder([holder, sequence(1)], 10), holder);
  assertEquals(chooseHolder([holder, sequence(1, { phase: "leaving" })], 10), undefined);
});
