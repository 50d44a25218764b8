import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { adapterId, type PageId, requestId } from "../../memory/ids.ts";
import { PagePool } from "../../memory/page_pool.ts";
import { PageTable } from "../../memory/page_table.ts";
import { PrefixCache } from "../../memory/prefix_cache.ts";

const BLOCK = 4;
const PER_BLOCK = 2;
const geometry = { blockTokens: BLOCK, pagesPerBlock: PER_BLOCK };

/** A pool of `blocks` blocks, and sequences that open, write and close as the memory's owner makes them. */
class Sequences {
  readonly pool: PagePool;
  readonly table: PageTable;
  readonly cache: PrefixCache;
  readonly #written = new Map<string, number>();
  #tick = 0;

  constructor(blocks: number) {
    this.pool = new PagePool(blocks * PER_BLOCK);
    this.table = new PageTable(this.pool, geometry);
    this.cache = new PrefixCache(this.pool, geometry);
  }

  /** Opens a sequence of these tokens; tokens found, or null (and nothing held) where pages are short. */
  open(name: string, tokens: readonly number[], space = "", adapter?: string): number | null {
    const request = requestId(name);
    const adapters = adapter === undefined ? [] : [adapterId(adapter)];
    const shared = this.cache.open(request, { space, adapters, tokens });
    const short = this.table.missing(request, tokens.length) - shared.length;
    if (short > this.pool.free + this.cache.idlePages) {
      this.cache.close(request, [], this.#tick);
      return null;
    }
    while (this.pool.free < short) this.cache.evict();
    this.table.adopt(request, shared);
    this.table.grow(request, tokens.length);
    const found = this.table.tokensIn(shared.length);
    this.#written.set(name, found);
    return found;
  }

  /** Says that everything up to `length` is written. */
  write(name: string, tokens: readonly number[], length: number): void {
    const from = this.#written.get(name) ?? 0;
    const end = length - length % BLOCK;
    if (end <= from) return;
    this.#written.set(name, end);
    const written = { from, tokens: tokens.slice(from, end) };
    this.cache.publish(requestId(name), written, this.pages(name), ++this.#tick);
  }

  close(name: string): void {
    this.cache.close(requestId(name), this.pages(name), ++this.#tick);
    this.table.release(requestId(name));
  }

  /** One sequence from beginning to end; tokens found. */
  run(name: string, tokens: readonly number[], space = "", adapter?: string): number | null {
    const found = this.open(name, tokens, space, adapter);
    if (found === null) return null;
    this.write(name, tokens, tokens.length);
    this.close(name);
    this.check();
    return found;
  }

  pages(name: string): readonly PageId[] {
    return this.table.pagesOf(requestId(name));
  }

  check(): void {
    this.cache.checkIntegrity((request) => this.table.pagesOf(request));
    this.pool.checkIntegrity([...this.table.owners(), ...this.cache.owners()]);
    const held = this.table.pages - this.cache.sharedPages;
    assertEquals(held + this.cache.idlePages + this.pool.free, this.pool.size);
  }
}

const MOSTLY = ["open", "write", "close"] as const;
const text = (length: number, first = 0) => Array.from({ length }, (_, i) => first + i);

Deno.test("open() finds the longest known prefix of full blocks, never the last token's", () => {
  const s = new Sequences(20);
  assertEquals(s.run("a", text(11)), 0);
  assertEquals(s.run("b", text(11)), 8);
  assertEquals(s.run("c", text(8)), 4);
  assertEquals(s.run("d", [...text(6), 99, 99, 99]), 4);
  assertEquals(s.run("e", [99, ...text(11)]), 0);
});

Deno.test("shared blocks are the same pages, and outlive the sequence that wrote them", () => {
  const s = new Sequences(20);
  s.open("a", text(10));
  s.write("a", text(10), 10);
  const first = s.pages("a").slice(0, 4);
  s.close("a");
  s.open("b", text(10));
  assertEquals(s.pages("b").slice(0, 4), first);
  assertEquals(s.cache.idlePages, 0);
  s.check();
});

Deno.test("spaces never share, not even where one's name is part of the other's", () => {
  const s = new Sequences(20);
  assertEquals(["", "a", "ab", ""].map((space, i) => s.run(`r${i}`, text(9), space)), [0, 0, 0, 8]);
});

Deno.test("the least recently used block goes first, and the end of a text before its beginning", () => {
  const s = new Sequences(6);
  s.run("a", text(12)); // 3 blocks
  s.run("b", text(8, 50)); // 2 blocks
  assertEquals(s.pool.free, PER_BLOCK);
  for (let i = 0; i < 2; i++) s.cache.evict();
  s.check();
  assertEquals(s.run("c", text(13)), 4);
  assertEquals(s.run("d", text(9, 50)), 8);
});

Deno.test("what a sequence uses is never evicted", () => {
  const s = new Sequences(4);
  s.run("a", text(8));
  s.open("b", text(9));
  assertEquals(s.cache.oldest, null);
  assertThrows(() => s.cache.evict(), Error, "every block is in use");
  assertEquals(s.open("c", text(8, 50)), null);
  s.check();
});

Deno.test("of two that write the same text at once one is kept, and what the other adds is kept at its end", () => {
  const s = new Sequences(20);
  const [a, b] = [text(9), [...text(8), ...text(8, 70)]];
  assertEquals([s.open("a", a), s.open("b", b)], [0, 0]);
  s.write("a", a, 9);
  s.write("b", b, 16);
  s.check();
  assertEquals(s.cache.sharedPages, 0);
  s.close("b");
  s.check();
  assertEquals(s.run("c", [...b, 1]), 16);
  assertEquals(s.cache.idlePages, 2 * PER_BLOCK); // a still uses the first two blocks
});

Deno.test("a gap in what was said to be written is never filled with other blocks", () => {
  const s = new Sequences(20);
  s.open("a", text(12));
  s.cache.publish(requestId("a"), { from: 4, tokens: text(4, 4) }, s.pages("a"), 1);
  s.close("a");
  assertEquals([s.run("b", text(12, 4)), s.run("c", text(12))], [0, 0]);
});

Deno.test("drop() frees an adapter's blocks at once, and those in use when their last sequence ends", () => {
  const s = new Sequences(20);
  s.run("a", text(8), "x", "one");
  s.run("b", text(8), "y", "two");
  s.open("c", text(9), "x", "one");
  s.run("d", text(12, 40), "x", "one");
  s.cache.drop(adapterId("one"));
  s.check();
  assertEquals(s.cache.idlePages, 2 * PER_BLOCK); // those of "two"
  s.write("c", text(9), 9);
  assertEquals(s.run("e", text(9), "x", "one"), 0);
  s.close("c");
  s.check();
  s.cache.drop(adapterId("one"));
  s.cache.drop(adapterId("two"));
  s.check();
  assertEquals([s.cache.idlePages, s.pool.free], [0, s.pool.size]);
});

Deno.test("any sequences with common prefixes keep every page in place, and find only what was written", () => {
  let found = 0;
  const action = fc.record({
    kind: fc.constantFrom(...MOSTLY, ...MOSTLY, "drop", "evict"),
    name: fc.nat({ max: 5 }),
    // A text is a path through a small tree, so that many begin alike.
    branches: fc.array(fc.nat({ max: 1 }), { minLength: 1, maxLength: 5 }),
    tail: fc.nat({ max: BLOCK - 1 }),
    space: fc.nat({ max: 1 }),
    quarters: fc.integer({ min: 1, max: 4 }),
  });
  fc.assert(
    fc.property(fc.array(action, { minLength: 40, maxLength: 100 }), (actions) => {
      const s = new Sequences(12);
      const open = new Map<string, { tokens: number[]; space: string }>();
      /** What each page holds: the text up to its end, written by its first owner alone. */
      const contents = new Map<PageId, string>();
      for (const { kind, name: n, branches, tail, space: at, quarters } of actions) {
        const [name, space] = [`r${n}`, `s${at}`];
        const mine = open.get(name);
        const textTo = (tokens: number[], end: number, of: string) =>
          `${of}:${tokens.slice(0, end)}`;
        if (kind === "open" && !mine) {
          const tokens = [...branches.flatMap((b) => text(BLOCK, b * 10)), ...text(tail, 90)];
          const cached = s.open(name, tokens, space, space);
          if (cached === null) continue;
          open.set(name, { tokens, space });
          assert(cached < tokens.length);
          found += cached;
          s.pages(name).forEach((page, i) => {
            const end = (Math.floor(i / PER_BLOCK) + 1) * BLOCK;
            if (end <= cached) assertEquals(contents.get(page), textTo(tokens, end, space));
            else contents.set(page, `being written by ${name}`);
          });
        } else if (kind === "write" && mine) {
          const length = Math.floor((quarters / 4) * mine.tokens.length);
          s.pages(name).forEach((page, i) => {
            const end = (Math.floor(i / PER_BLOCK) + 1) * BLOCK;
            if (end <= length) contents.set(page, textTo(mine.tokens, end, mine.space));
          });
          s.write(name, mine.tokens, length);
        } else if (kind === "close" && mine) {
          s.close(name);
          open.delete(name);
        } else if (kind === "drop") s.cache.drop(adapterId(space));
        else if (kind === "evict" && s.cache.oldest !== null) s.cache.evict();
        s.check();
        for (const [other, { tokens, space }] of open) {
          s.pages(other).forEach((page, i) => {
            const end = (Math.floor(i / PER_BLOCK) + 1) * BLOCK;
            const held = contents.get(page);
            const right = held === `being written by ${other}` ||
              held === textTo(tokens, end, space);
            assert(right, `${other} has ${held} in its place ${i}`);
          });
        }
      }
      for (const name of open.keys()) s.close(name);
      while (s.cache.oldest !== null) s.cache.evict();
      s.check();
      assertEquals(s.pool.free, s.pool.size);
    }),
    { numRuns: 300 },
  );
  assert(found > 200, `${found} tokens were found`);
});

Deno.test("forgetting adapters without cached blocks takes no look at those of all others", () => {
  const blocks = 20_000;
  const length = 200 * BLOCK;
  const sequences = new Sequences(blocks + 400);
  const timeOf = (work: () => void) => {
    const start = performance.now();
    work();
    return performance.now() - start;
  };
  const filling = timeOf(() => {
    for (let i = 0; i < blocks / 200; i++) {
      const tokens = Array.from({ length }, (_, at) => i * length + at);
      sequences.open(`${i}`, tokens, `space ${i}`, `adapter ${i}`);
      sequences.write(`${i}`, tokens, length);
      sequences.close(`${i}`);
    }
  });
  const forget = () => {
    for (let i = 0; i < 500; i++) sequences.cache.drop(adapterId(`never used ${i}`));
  };
  const forgetting = Math.min(timeOf(forget), timeOf(forget), timeOf(forget));
  assert(forgetting < filling, `${forgetting} ms for 500 of them, ${filling} ms to fill the cache`);
  sequences.cache.drop(adapterId("adapter 3"));
  sequences.check();
});

Deno.test("the oldest of many blocks is found as fast when most of them are gone", () => {
  const blocks = 60_000;
  const sequences = new Sequences(blocks);
  for (let i = 0; i < blocks / 100; i++) {
    const tokens = Array.from({ length: 100 * BLOCK }, (_, at) => i * 1000 + at);
    sequences.open(`${i}`, tokens);
    sequences.write(`${i}`, tokens, tokens.length);
    sequences.close(`${i}`);
  }
  const timeOf = (count: number) => {
    const start = performance.now();
    for (let i = 0; i < count && sequences.cache.oldest !== null; i++) sequences.cache.evict();
    return performance.now() - start;
  };
  // The least of several: another process may run in the midst of any.
  const least = () => Math.min(...Array.from({ length: 5 }, () => timeOf(1000)));
  timeOf(2000);
  const early = least();
  timeOf(30_000);
  const late = least();
  assert(late < 4 * early, `${late} ms for 1000, ${early} ms before`);
});
