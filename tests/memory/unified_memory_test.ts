import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { adapterId, requestId } from "../../memory/ids.ts";
import type { MemoryWant } from "../../memory/memory_plan.ts";
import { UnifiedMemory } from "../../memory/unified_memory.ts";

const want = (
  name: string,
  tokens: number,
  adapters: readonly string[] = [],
  spareTokens = 0,
): MemoryWant => ({
  request: requestId(name),
  tokens,
  adapters: adapters.map(adapterId),
  spareTokens,
});

/** 8 layer pages of one block each, 2 head pages; adapters of 3, 4 and (in the head pool) 2 pages. */
function memory(): UnifiedMemory {
  const shape = { layerPages: 8, headPages: 2, pagesPerBlock: 1, blockTokens: 16 };
  const memory = new UnifiedMemory(shape);
  memory.addAdapter(adapterId("three"), { layerPages: 3, headPages: 0 });
  memory.addAdapter(adapterId("four"), { layerPages: 4, headPages: 0 });
  memory.addAdapter(adapterId("head"), { layerPages: 0, headPages: 2 });
  return memory;
}

/** A plan whose uploads end at once. */
const plan = (memory: UnifiedMemory, tick: number, ...wants: MemoryWant[]) => {
  const planned = memory.plan(wants, tick);
  memory.checkIntegrity();
  for (const { adapter } of planned.uploads) memory.arrived(adapter, tick);
  memory.checkIntegrity();
  return planned;
};

const kinds = (memory: UnifiedMemory, tick: number, ...wants: MemoryWant[]) =>
  plan(memory, tick, ...wants).grants.map((grant) => grant.kind);

Deno.test("plan() grants pages and places the adapters, and names the uploads", () => {
  const { grants, uploads } = memory().plan([want("a", 20, ["three", "head"])], 1);
  const [grant] = grants;
  assert(grant?.kind === "granted");
  assertEquals(grant.newPages.length, 2);
  assertEquals(uploads, grant.adapters);
  assertEquals(uploads.map((u) => [u.layerPages.length, u.headPages.length]), [[3, 0], [0, 2]]);
  const pages = [...grant.newPages, ...uploads.flatMap((upload) => upload.layerPages)];
  assertEquals(new Set(pages).size, 5);
});

Deno.test("keepAdapter() leaves room for the largest other adapter and a sequence, and asks for no more", () => {
  const [three, four] = [adapterId("three"), adapterId("four")];
  assertEquals(memory().keepAdapter(three, 16), null, "3 + 4 + 1 of 8 pages");
  assertEquals(memory().keepAdapter(four, 16), null, "4 + 3 + 1");
  const refused = "Cannot hold adapter four for good, beside others and a sequence of 17 tokens: " +
    "the pool has 8 pages in all, received a need of 9";
  assertEquals(memory().keepAdapter(four, 17), refused);
  const both = memory();
  assertEquals([both.keepAdapter(three, 16), both.keepAdapter(four, 16)], [null, null], "7 + 1");
});

Deno.test("plan() uploads an adapter once for all requests that use it", () => {
  const m = memory();
  const { uploads } = m.plan([want("a", 1, ["three"]), want("b", 1, ["three", "three"])], 1);
  assertEquals(uploads.length, 1);
  assertEquals(m.plan([want("c", 1, ["three"])], 2).uploads, []);
});

Deno.test("plan() serves an earlier want before a later one", () => {
  assertEquals(kinds(memory(), 1, want("a", 80), want("b", 64), want("c", 48)), [
    "granted",
    "exhausted",
    "granted",
  ]);
});

Deno.test("a want that is not granted takes nothing, neither pages nor pins", () => {
  const m = memory();
  plan(m, 1, want("a", 16, ["three"]));
  m.release(requestId("a"), 1);
  // "three" is resident and idle: this want would use it, but cannot have the rest.
  const [grant] = m.plan([want("x", 16), want("b", 80, ["three"])], 2).grants.slice(1);
  assertEquals(grant, {
    kind: "exhausted",
    request: requestId("b"),
    pool: "layers",
    neededPages: 5,
    freePages: 4,
  });
  assertEquals(m.usage.kvPages, 1);
  assertEquals(kinds(m, 3, want("c", 112)), ["granted"]); // evicts "three", so it is not pinned
});

Deno.test("a want says which pool is short, and one that is to spare the head pool uses nothing there", () => {
  const m = memory();
  m.addAdapter(adapterId("other"), { layerPages: 1, headPages: 1 });
  plan(m, 1, want("a", 16, ["head"]));
  const [short, base] = m.plan([want("b", 16, ["other"]), want("c", 16)], 2).grants;
  assert(short?.kind === "exhausted" && base?.kind === "granted");
  assertEquals([short.pool, short.neededPages, short.freePages], ["head", 1, 0]);
  const headless = (request: string, ...adapters: string[]) => ({
    ...want(request, 16, adapters),
    headless: true,
  });
  // It is there, but who uses it keeps it there.
  assertEquals(kinds(m, 3, headless("d", "head"), headless("e", "three")), [
    "exhausted",
    "granted",
  ]);
  m.release(requestId("a"), 3);
  assertEquals(kinds(m, 4, want("b", 16, ["other"])), ["granted"]);
});

Deno.test("KV takes the pages of idle adapters, and adapters come back when they are wanted again", () => {
  const m = memory();
  plan(m, 1, want("a", 16, ["four"]));
  m.release(requestId("a"), 1);
  assertEquals(m.usage, {
    pages: 8,
    freePages: 4,
    kvPages: 0,
    cachedPages: 0,
    adapterPages: 4,
    residentAdapters: [adapterId("four")],
    arrivingAdapters: 0,
  });
  assertEquals(kinds(m, 2, want("b", 100)), ["granted"]);
  assertEquals(m.usage.residentAdapters, []);
  m.release(requestId("b"), 2);
  assertEquals(m.plan([want("a", 16, ["four"])], 3).uploads.length, 1);
});

Deno.test("an adapter in use is never evicted, however short pages are", () => {
  const m = memory();
  plan(m, 1, want("a", 16, ["four"]));
  assertEquals(kinds(m, 2, want("b", 64)), ["exhausted"]);
  assertEquals(m.usage.residentAdapters, [adapterId("four")]);
});

Deno.test("what a later want of the plan uses is evicted last", () => {
  const m = memory();
  assertEquals(kinds(m, 5, want("a", 0, ["four"]), want("b", 0, ["three"])), [
    "granted",
    "granted",
  ]);
  m.release(requestId("a"), 6);
  m.release(requestId("b"), 6);
  const { uploads } = m.plan([want("c", 48), want("d", 1, ["four"])], 60);
  assertEquals(uploads, []);
  assertEquals(m.usage.residentAdapters, [adapterId("four")]);
});

/** A sequence of 33 tokens, 2 full blocks, from its want to its release; tokens found. */
function once(m: UnifiedMemory, name: string, tick: number): number {
  const prefix = { space: "", adapters: [], tokens: Array.from({ length: 33 }, (_, i) => i) };
  const [grant] = m.plan([{ ...want(name, 33), prefix }], tick).grants;
  assert(grant?.kind === "granted");
  const written = { from: grant.cached, tokens: prefix.tokens.slice(grant.cached, 32) };
  m.release(requestId(name), tick, written);
  m.checkIntegrity();
  return grant.cached;
}

Deno.test("cached blocks are there for whoever begins alike, and give way to whoever needs their pages", () => {
  const m = memory();
  assertEquals([once(m, "a", 1), once(m, "b", 2)], [0, 32]);
  assertEquals([m.usage.kvPages, m.usage.cachedPages, m.usage.freePages], [0, 2, 6]);
  assertEquals(kinds(m, 3, want("c", 128)), ["granted"]);
  assertEquals([m.usage.kvPages, m.usage.cachedPages], [8, 0]);
});

Deno.test("of cached blocks and idle adapters the one that has lain unused longer goes first", () => {
  for (const adapterFirst of [true, false]) {
    const m = memory();
    const steps = [
      (tick: number) => {
        m.plan([want("a", 1, ["four"])], tick);
        m.arrived(adapterId("four"), tick);
        m.release(requestId("a"), tick);
      },
      (tick: number) => void once(m, "b", tick),
    ];
    for (const [i, step] of (adapterFirst ? steps : steps.toReversed()).entries()) step(i + 1);
    // 2 pages are free, 2 cached, 4 the adapter's.
    assertEquals(kinds(m, 3, want("c", 64)), ["granted"]);
    assertEquals(m.usage.residentAdapters.length, adapterFirst ? 0 : 1);
    assertEquals(m.usage.cachedPages, adapterFirst ? 2 : 0);
  }
});

Deno.test("a want that is exhausted keeps no cached block in use", () => {
  const m = memory();
  once(m, "a", 1);
  m.plan([want("b", 64)], 2);
  const prefix = { space: "", adapters: [], tokens: Array.from({ length: 90 }, (_, i) => i) };
  assertEquals(kinds(m, 3, { ...want("c", 90), prefix }), ["exhausted"]);
  assertEquals(m.usage.cachedPages, 2);
});

Deno.test("dropPrefixes() frees the KV that was computed with an adapter", () => {
  const m = memory();
  const adapters = [adapterId("three")];
  const prefix = { space: "three", adapters, tokens: Array.from({ length: 33 }, (_, i) => i) };
  m.plan([{ ...want("a", 33, ["three"]), prefix }], 1);
  m.release(requestId("a"), 1, { from: 0, tokens: prefix.tokens.slice(0, 32) });
  assertEquals(m.usage.cachedPages, 2);
  m.dropPrefixes(adapterId("three"));
  m.checkIntegrity();
  assertEquals(m.usage.cachedPages, 0);
});

Deno.test("a newcomer is granted only where the spare tokens still find room beside it", () => {
  const m = memory();
  assertEquals(kinds(m, 1, want("a", 64)), ["granted"]);
  assertEquals(kinds(m, 2, want("b", 48, [], 32)), ["exhausted"]);
  assertEquals(kinds(m, 3, want("b", 48, [], 16)), ["granted"]);
});

Deno.test("a want that even empty pools could not hold is refused, with the numbers", () => {
  const m = memory();
  const { grants } = m.plan([want("a", 90, ["three"]), want("b", 1, ["unknown"])], 1);
  const errors = grants.map((grant) => grant.kind === "refused" ? grant.error : "");
  assertEquals(errors, [
    "Cannot hold 90 tokens and the adapters they use: the pool has 8 pages in all, received a need of 9",
    "Cannot use adapter: it is not loaded, received unknown",
  ]);
});

Deno.test("addAdapter() refuses an adapter that fits neither pool", () => {
  const error = memory().addAdapter(adapterId("wide"), { layerPages: 1, headPages: 3 });
  assertEquals(
    error,
    "Cannot hold adapter wide: the head pool has 2 pages in all, received a need of 3",
  );
});

Deno.test("a grant says which adapters are still on their way, to everyone who uses them", () => {
  const m = memory();
  const arriving = (tick: number, name: string) => {
    const [grant] = m.plan([want(name, 1, ["three"])], tick).grants;
    return grant?.kind === "granted" ? grant.arriving : null;
  };
  assertEquals(arriving(1, "a"), [adapterId("three")]);
  assertEquals(arriving(2, "b"), [adapterId("three")]);
  m.arrived(adapterId("three"), 2);
  assertEquals(arriving(3, "c"), []);
  assertEquals(m.found, { hits: 2, misses: 1 });
});

Deno.test("a want for an adapter whose image is not at hand takes nothing, one on the GPU needs none", () => {
  const m = memory();
  const nothing = () => false;
  const absent = {
    kind: "absent",
    request: requestId("a"),
    adapters: [adapterId("three")],
  } as const;
  assertEquals(m.plan([want("a", 1, ["three"])], 1, nothing).grants, [absent]);
  assertEquals(m.usage.freePages, 8);
  plan(m, 2, want("a", 1, ["three"]));
  assertEquals(m.plan([want("b", 1, ["three"])], 3, nothing).grants[0]?.kind, "granted");
});

Deno.test("prefetch() takes free pages and those of adapters that nobody named, and leaves the spare ones", () => {
  const m = memory();
  plan(m, 1, want("a", 16, ["three"]));
  m.release(requestId("a"), 1);
  assertEquals(m.prefetch(adapterId("four"), 80, 2), null, "4 + 5 pages do not fit");
  m.touch([adapterId("three")], 2);
  assertEquals(m.prefetch(adapterId("four"), 32, 2), null, "three was named in this plan");
  assertEquals(m.prefetch(adapterId("four"), 16, 2)?.layerPages.length, 4);
  m.checkIntegrity();
  assertEquals([m.usage.residentAdapters, m.usage.arrivingAdapters], [[adapterId("three")], 1]);
  assertEquals(m.arrivingPages, 4);
  m.arrived(adapterId("four"), 3);
  assertEquals([m.usage.residentAdapters.length, m.usage.arrivingAdapters], [2, 0]);
  m.addAdapter(adapterId("six"), { layerPages: 6, headPages: 0 });
  assertEquals(
    m.prefetch(adapterId("six"), 0, 9)?.layerPages.length,
    6,
    "both were named long ago",
  );
  m.arrived(adapterId("six"), 9);
  assertEquals(m.usage.residentAdapters, [adapterId("six")]);
});

Deno.test("any order of plans and releases keeps every page in one place and comes back to empty", () => {
  const size = fc.record({ layerPages: fc.nat({ max: 6 }), headPages: fc.nat({ max: 3 }) });
  const wants = fc.array(
    fc.record({
      request: fc.nat({ max: 7 }).map((i) => requestId(`r${i}`)),
      tokens: fc.integer({ min: 1, max: 90 }),
      adapters: fc.array(fc.nat({ max: 5 }).map((i) => adapterId(`a${i}`)), { maxLength: 3 }),
      spareTokens: fc.constantFrom(0, 0, 40),
    }),
    { maxLength: 5 },
  );
  const round = fc.record({ wants, released: fc.nat({ max: 7 }) });
  fc.assert(
    fc.property(
      fc.array(size, { minLength: 6, maxLength: 6 }),
      fc.array(round),
      (sizes, rounds) => {
        const shape = { layerPages: 24, headPages: 5, pagesPerBlock: 2, blockTokens: 16 };
        const m = new UnifiedMemory(shape);
        sizes.forEach((size, i) => m.addAdapter(adapterId(`a${i}`), size));
        rounds.forEach(({ wants, released }, tick) => {
          const before = m.usage;
          const { grants } = plan(m, tick, ...wants);
          if (grants.every((grant) => grant.kind !== "granted")) assertEquals(m.usage, before);
          m.release(requestId(`r${released}`), tick);
          m.checkIntegrity();
        });
        for (let i = 0; i < 8; i++) m.release(requestId(`r${i}`), 99);
        assertEquals(m.usage.kvPages, 0);
        // Nothing is pinned any more: the whole pool can be had.
        assertEquals(kinds(m, 100, want("all", 12 * 16)), ["granted"]);
      },
    ),
  );
});

Deno.test("prefetch() that cannot have its pages costs nobody's cached blocks", () => {
  const m = memory();
  once(m, "a", 1);
  plan(m, 2, want("b", 64));
  assertEquals(
    m.prefetch(adapterId("four"), 16, 3),
    null,
    "2 pages are free, 2 cached: 5 are needed",
  );
  assertEquals(m.usage.cachedPages, 2);
  m.addAdapter(adapterId("both"), { layerPages: 4, headPages: 3 });
  assertEquals(m.prefetch(adapterId("both"), 0, 4), null, "more than the head pool holds");
  assertEquals(m.usage.cachedPages, 2);
});

Deno.test("prefetch() takes adapters that have lain unused for longer before cached blocks", () => {
  const m = memory();
  plan(m, 1, want("a", 1, ["four"]));
  m.release(requestId("a"), 1);
  once(m, "b", 2);
  assertEquals(m.prefetch(adapterId("three"), 0, 3)?.layerPages.length, 3);
  m.arrived(adapterId("three"), 9);
  assertEquals([m.usage.cachedPages, m.usage.residentAdapters], [2, [adapterId("three")]]);
  m.checkIntegrity();
});
