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

Deno.test("images claimed together stay until others are claimed, and those claimed later only where room is left", () => {
  const store = new HostStore<string>(100);
  store.put(a, "A", 40, 1);
  store.put(b, "B", 40, 9);
  const groups = [new Map([[a, 40]]), new Map([[a, 40], [c, 60]]), new Map([[b, 40]])];
  assertEquals(store.claim(groups), 2, "b would need 140 bytes in all");
  assertEquals([store.couldHold(60), store.couldHold(61)], [true, false]);
  assert(store.put(c, "C", 60, 9));
  assertEquals([store.has(a), store.has(b), store.has(c)], [true, false, true]);
  assertEquals(store.put(b, "B", 1, 10), false);
  assertEquals(store.claim([]), 0);
  assert(store.put(b, "B", 1, 10));
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
    what: fc.constantFrom("put", "put", "hold", "letGo", "delete", "claim"),
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
      if (what === "claim") {
        const kept = store.has(name);
        const mayStay = store.claim([new Map([[name, bytes]])]) === 1;
        if (mayStay && kept) store.put(adapterId("another"), "", 100 - bytes, tick);
        if (mayStay) assertEquals(store.has(name), kept);
        store.delete(adapterId("another"));
      }
      for (const adapter of held) assertEquals(store.get(adapterId(adapter)), adapter);
      store.checkIntegrity();
    });
  }));
});
