import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type PageId, pageId } from "../../memory/ids.ts";
import { PagePool } from "../../memory/page_pool.ts";

Deno.test("allocate() gives all the pages asked for or none", () => {
  const pool = new PagePool(3);
  assertEquals(pool.allocate(2), [0, 1].map(pageId));
  assertEquals(pool.allocate(2), null);
  assertEquals(pool.free, 1);
  assertEquals(pool.allocate(0), []);
});

Deno.test("release() frees a shared page only when its last owner lets go", () => {
  const pool = new PagePool(2);
  const shared = pool.allocate(2) ?? [];
  pool.retain(shared);
  pool.release(shared);
  assertEquals([pool.free, pool.references(pageId(0))], [0, 1]);
  pool.checkIntegrity([shared]);
  pool.release(shared);
  assertEquals(pool.free, 2);
});

Deno.test("release() and retain() refuse a page that nobody owns, and name it", () => {
  const pool = new PagePool(2);
  assertThrows(() => pool.release([pageId(1)]), RangeError, "Cannot release page");
  assertThrows(() => pool.retain([pageId(7)]), RangeError, "received 7");
});

Deno.test("a pool of a fraction of a page is refused", () => {
  assertThrows(() => new PagePool(1.5), RangeError, "received 1.5");
});

Deno.test("checkIntegrity() finds a page with two owners and a page with none", () => {
  const pool = new PagePool(2);
  const pages = pool.allocate(1) ?? [];
  assertThrows(() => pool.checkIntegrity([pages, pages]), Error, "received 2 owners");
  assertThrows(() => pool.checkIntegrity([]), Error, "received 0 owners");
});

Deno.test("any order of allocations, sharing and releases leaves every page accounted for", () => {
  const action = fc.record({ kind: fc.nat({ max: 2 }), n: fc.nat({ max: 6 }) });
  fc.assert(fc.property(fc.nat({ max: 20 }), fc.array(action), (size, actions) => {
    const pool = new PagePool(size);
    const owners: (readonly PageId[])[] = [];
    for (const { kind, n } of actions) {
      const pages = owners[n % Math.max(1, owners.length)];
      if (kind === 0) {
        const before = pool.free;
        const taken = pool.allocate(n);
        assertEquals(taken === null, n > before);
        if (taken) owners.push(taken);
      } else if (pages && kind === 1) {
        pool.retain(pages);
        owners.push(pages);
      } else if (pages) {
        pool.release(pages);
        owners.splice(owners.indexOf(pages), 1);
      }
      pool.checkIntegrity(owners);
    }
    for (const pages of owners) pool.release(pages);
    assert(pool.free === size);
  }));
});
