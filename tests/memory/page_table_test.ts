import { assertEquals } from "@std/assert";
import { requestId } from "../../memory/ids.ts";
import { PagePool } from "../../memory/page_pool.ts";
import { PageTable } from "../../memory/page_table.ts";

const a = requestId("a");
const b = requestId("b");

function tableOf(pages: number, pagesPerBlock: number) {
  const pool = new PagePool(pages);
  return { pool, table: new PageTable(pool, { blockTokens: 16, pagesPerBlock }) };
}

Deno.test("grow() takes whole blocks, and only the pages that a sequence lacks", () => {
  const { table } = tableOf(10, 2);
  assertEquals(table.grow(a, 1)?.length, 2);
  assertEquals(table.grow(a, 16), []);
  assertEquals(table.grow(a, 17)?.length, 2);
  assertEquals(table.pagesOf(a).length, 4);
  assertEquals(table.missing(a, 49), 4);
});

Deno.test("grow() takes nothing where the pool has too few pages", () => {
  const { pool, table } = tableOf(3, 1);
  table.grow(a, 32);
  assertEquals(table.grow(b, 32), null);
  assertEquals([pool.free, table.pages, table.pagesOf(b).length], [1, 2, 0]);
});

Deno.test("grow() keeps the pages that a sequence has, in their order", () => {
  const { table } = tableOf(8, 1);
  const first = table.grow(a, 20) ?? [];
  table.grow(b, 16);
  const more = table.grow(a, 40) ?? [];
  assertEquals(table.pagesOf(a), [...first, ...more]);
});

Deno.test("release() frees a sequence's pages once, and does nothing for an unknown one", () => {
  const { pool, table } = tableOf(4, 1);
  table.grow(a, 64);
  table.release(a);
  table.release(a);
  table.release(b);
  assertEquals([pool.free, table.pages], [4, 0]);
});

Deno.test("a sequence without tokens has no pages", () => {
  const { table } = tableOf(4, 3);
  assertEquals(table.pagesFor(0), 0);
  assertEquals(table.grow(a, 0), []);
});
