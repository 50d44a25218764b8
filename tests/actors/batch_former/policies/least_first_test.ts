import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { LeastFirst } from "../../../../actors/batch_former/policies/least_first.ts";

Deno.test("LeastFirst has the least at hand and of equals the earliest, whatever its first was raised by", () => {
  fc.assert(fc.property(
    fc.array(fc.nat(8), { maxLength: 40 }),
    fc.array(fc.option(fc.nat(8)), { maxLength: 80 }),
    (values, raises) => {
      const ranking = new LeastFirst(values.map((value, i) => [i, value]));
      const left = new Map(values.entries());
      const least = () => {
        const value = Math.min(...left.values());
        return [...left].find(([, own]) => own === value)?.[0];
      };
      for (const by of raises) {
        const first = least();
        assertEquals(ranking.first, first);
        if (by === null) {
          ranking.drop();
          if (first !== undefined) left.delete(first);
        } else {
          ranking.raise(by);
          if (first !== undefined) left.set(first, (left.get(first) ?? 0) + by);
        }
      }
    },
  ));
});
