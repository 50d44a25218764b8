import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { requestId } from "../../memory/ids.ts";
import { PeakDemand } from "../../memory/peak_demand.ts";

const BLOCK = 16;
const NEW = requestId("new");
interface Held {
  readonly tokens: number;
  readonly growth: number;
}
const demandOf = (others: readonly Held[], block = BLOCK, overCommit = 1) => {
  const demand = new PeakDemand(block, overCommit);
  others.forEach((held, i) => demand.set({ request: requestId(`${i}`), ...held }));
  return demand;
};

Deno.test("a newcomer that is alone is never kept out for what it may grow to", () => {
  const demand = demandOf([]);
  assertEquals(demand.kept({ request: NEW, tokens: 10, growth: 1e6 }), 0);
  demand.set({ request: requestId("a"), tokens: 10, growth: 10 });
  demand.delete(requestId("a"));
  assertEquals(demand.kept({ request: NEW, tokens: 10, growth: 1e6 }), 0);
});

Deno.test("the peak counts who is there at the same time, not all that each will ever hold", () => {
  // The first ends after 10 tokens and leaves 110 free, when the other has grown by 10.
  const newcomer = { request: NEW, tokens: 1, growth: 100 };
  const others = [{ tokens: 100, growth: 10 }];
  assertEquals(demandOf(others, 1).kept(newcomer), 20);
  assertEquals(demandOf(others, 1, 2).kept(newcomer), 10);
  assertEquals(demandOf(others, 1, Infinity).kept(newcomer), 0);
  assertEquals(demandOf(others, 1).kept({ ...newcomer, request: requestId("0") }), 0);
});

Deno.test("room for the peak is room at every step until all have ended", () => {
  const held = fc.record({ tokens: fc.integer({ min: 1, max: 60 }), growth: fc.nat({ max: 60 }) });
  const blocks = (tokens: number) => Math.ceil(tokens / BLOCK) * BLOCK;
  fc.assert(
    fc.property(fc.array(held, { minLength: 1, maxLength: 8 }), held, (others, newcomer) => {
      const all = [...others, newcomer];
      const spare = demandOf(others).kept({ request: NEW, ...newcomer });
      const now = all.reduce((sum, { tokens }) => sum + blocks(tokens), 0);
      for (let step = 0; step <= 60; step++) {
        const there = all.filter(({ growth }) => growth >= step);
        const used = there.reduce((sum, { tokens }) => sum + blocks(tokens + step), 0);
        assert(used <= now + spare, `${used} of ${now} + ${spare} after ${step} steps`);
      }
      // And not much more than that.
      const most = all.reduce((sum, { tokens, growth }) => sum + tokens + growth + BLOCK, 0);
      assert(now + spare <= Math.max(now, most));
    }),
  );
});

Deno.test("an answer depends on who is there, not on what was asked or who was there before", () => {
  const held = fc.record({ tokens: fc.integer({ min: 1, max: 60 }), growth: fc.nat({ max: 9 }) });
  const changes = fc.array(fc.tuple(fc.nat({ max: 5 }), fc.option(held)), { maxLength: 30 });
  fc.assert(
    fc.property(changes, held, (changes, asked) => {
      const there = new Map<number, Held>();
      const demand = new PeakDemand(BLOCK, 1);
      for (const [i, now] of changes) {
        if (now) {
          there.set(i, now);
          demand.set({ request: requestId(`${i}`), ...now });
        } else {
          there.delete(i);
          demand.delete(requestId(`${i}`));
        }
        const newcomer = { request: NEW, ...asked };
        assertEquals(demand.kept(newcomer), demandOf([...there.values()]).kept(newcomer));
      }
    }),
  );
});
