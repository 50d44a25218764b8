import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { ServiceCounters } from "../../../../actors/batch_former/policies/service_counters.ts";

Deno.test("who comes back gains nothing by having been away, forgotten or not", () => {
  const turn = fc.record({
    client: fc.integer({ min: 0, max: 2000 }),
    waiting: fc.array(fc.integer({ min: 0, max: 2000 }), { maxLength: 3 }),
    cost: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(fc.array(turn, { minLength: 600, maxLength: 1200 }), (turns) => {
      const counters = new ServiceCounters();
      // The same rule with a memory for everybody.
      const all = new Map<string, number>();
      let last: string | null = null;
      for (const { client, waiting, cost } of turns) {
        const name = String(client);
        const others = new Set(waiting.map(String));
        // Those that wait have come before.
        for (const other of others) if (!all.has(other)) others.delete(other);
        const floor = others.size > 0
          ? Math.min(...[...others].map((other) => all.get(other) ?? 0))
          : last === null
          ? 0
          : all.get(last) ?? 0;
        all.set(name, Math.max(all.get(name) ?? 0, floor));
        counters.lift(name, others);
        assert(counters.get(name) >= (all.get(name) ?? 0));
        all.set(name, (all.get(name) ?? 0) + cost);
        counters.add(name, cost);
        last = counters.last = name;
      }
    }),
    { numRuns: 20 },
  );
});

Deno.test("clients that come once and never again are forgotten", () => {
  const counters = new ServiceCounters();
  for (let i = 0; i < 100_000; i++) {
    counters.lift(`adapter-${i}`, new Set());
    counters.add(`adapter-${i}`, 10);
    counters.last = `adapter-${i}`;
    assert(counters.size <= 1024, `${counters.size} of ${i}`);
  }
  assertEquals(counters.get("adapter-99999"), 1_000_000);
});
