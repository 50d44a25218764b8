import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { HostStore } from "../../memory/host_store.ts";
import { adapterId } from "../../memory/ids.ts";

const [a, b, c] = [adapterId("a"), adapterId("b"), adapterId("c")] as const;

Deno.test("an image too large for what is free pushes out the one whose bytes lay unused most", () => {
  const store = new HostStore<string>(100);
  assert(store.put(a, "A", 60, 1));
  assert(store.put(b, "B", 30, 1));
  store.touch(a, 9);
  assert(store.put(c, "C", 40, 9), "60 bytes for 1 tick weigh less than 30 for 9");
  assertEquals([store.has(a), store.has(b), store.has(c)], [true, false, true]);
  assertEquals([store.bytes, store.count, store.evictions], [100, 2, 1]);
});

Deno.test("an image that an upload reads stays, even if another then finds no room", () => {
  const store = new HostStore<string>(100);
  store.put(a, "A", 80, 1);
  assertEquals(store.hold(a, 2), "A");
  assertEquals(store.couldHold(21), false);
  assertEquals(store.put(b, "B", 21, 50), false);
  assertEquals(store.delete(a), false);
  store.letGo(a);
  assert(store.put(b, "B", 21, 50));
  assertEquals(store.has(a), false);
});

Deno.test("what cannot be is refused: an image twice, letting go of nothing, no room at all", () => {
  const store = new HostStore<string>(10);
  store.put(a, "A", 1, 1);
  assertThrows(() => store.put(a, "A", 1, 1), RangeError, "received a");
  assertThrows(() => store.letGo(a), RangeError, "no upload reads it");
  assertThrows(() => store.hold(b, 1), RangeError, "not in host memory, received b");
  assertThrows(() => new HostStore(0), RangeError, "received 0");
});

Deno.test("any order of images, uploads and deletions stays within the limit", () => {
  const name = fc.nat({ max: 5 }).map((i) => adapterId(`a${i}`));
  const action = fc.record({
    what: fc.constantFrom("put", "put", "hold", "letGo", "delete"),
    name,
    bytes: fc.integer({ min: 0, max: 60 }),
  });
  fc.assert(fc.property(fc.array(action), (actions) => {
    const store = new HostStore<string>(100);
    const held: string[] = [];
    actions.forEach(({ what, name, bytes }, tick) => {
      const index = held.indexOf(name);
      if (what === "put" && !store.has(name)) {
        const could = store.couldHold(bytes);
        assertEquals(store.put(name, name, bytes, tick), could);
      }
      if (what === "hold" && store.has(name)) held.push(store.hold(name, tick));
      if (what === "letGo" && index >= 0) store.letGo(adapterId(held.splice(index, 1)[0] ?? ""));
      if (what === "delete") store.delete(name);
      for (const adapter of held) assertEquals(store.get(adapterId(adapter)), adapter);
      store.checkIntegrity();
    });
  }));
});
