import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { FifoSet } from "../../memory/fifo_set.ts";

Deno.test("FifoSet is a set, and knows its first item whatever comes, goes and comes back", () => {
  const step = fc.record({ kind: fc.constantFrom("add", "delete", "first"), item: fc.nat(6) });
  fc.assert(fc.property(fc.array(step, { maxLength: 100, size: "max" }), (steps) => {
    const [queue, plain] = [new FifoSet<string>(), new Set<string>()];
    for (const { kind, item } of steps) {
      if (kind === "add") [queue, plain].forEach((set) => void set.add(`${item}`));
      if (kind === "delete") [queue, plain].forEach((set) => void set.delete(`${item}`));
      if (kind === "first") assertEquals(queue.first, [...plain][0]);
      assertEquals([queue.size, queue.has(`${item}`)], [plain.size, plain.has(`${item}`)]);
      assertEquals([...queue], [...plain]);
    }
  }));
});
