import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  ALONE,
  f32Bits,
  SAMPLE_WORDS,
  STEP_HEADER_WORDS,
  type StepTables,
  writeStep,
} from "../../kernels/step_words.ts";
import { readStep } from "../support/read_step.ts";

const word = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const words = (count: number) => fc.array(word, { minLength: count, maxLength: count });
const lists = fc.array(fc.array(word, { maxLength: 7 }), { minLength: 1, maxLength: 4 });

/** Tables of consistent sizes with random contents. */
const tables: fc.Arbitrary<StepTables> = fc.record({
  tokenCount: fc.nat(5),
  routesPerToken: fc.nat(2),
  logitRows: fc.nat(3),
  blockTables: lists,
  biases: lists,
  items: fc.nat(4),
}).chain(({ items, ...sizes }) => {
  const { tokenCount, routesPerToken, logitRows, blockTables, biases } = sizes;
  const put = (table: number[], stride: number, field: number, limit: number) =>
    table.map((word, i) => i % stride === field ? word % limit : word);
  return fc.record({
    ...Object.fromEntries(Object.entries(sizes).map(([key, value]) => [key, fc.constant(value)])),
    tokens: words(tokenCount * 4).map((table) => put(table, 4, 2, blockTables.length)),
    routes: words(tokenCount * routesPerToken * 2),
    headRoutes: words(tokenCount * routesPerToken * 2),
    decodeItems: words(items * 4),
    decodeRows: words(items * 4),
    prefillTiles: words(items * 2),
    logitTokens: words(logitRows),
    samples: words(logitRows * SAMPLE_WORDS).map((table) =>
      put(put(table, SAMPLE_WORDS, 11, biases.length), SAMPLE_WORDS, 12, 1)
    ),
    shrinkItems: fc.constant([[7, 0, 2, 1], [], [8, 2, 1, 2 * 16], [], [], [], []]),
    shrinkEntries: words(3),
    headShrinkItems: fc.constant([9, 0, 1, 3 + 16]),
    headShrinkEntries: words(1),
  }) as unknown as fc.Arbitrary<StepTables>;
});

Deno.test("writeStep() puts every table where the kernels read it", () => {
  fc.assert(fc.property(tables, (step) => {
    const buffer = new Uint32Array(4096);
    const used = writeStep(buffer, step);
    const [items, tiles] = [step.decodeItems.length / 4, step.prefillTiles.length / 2];
    const dispatched = { decodeItems: items, decodeRows: items, prefillTiles: tiles };
    const seen = readStep(buffer.subarray(0, used), dispatched);
    const K = step.routesPerToken;
    assertEquals(seen.tokens.length, step.tokenCount);
    seen.tokens.forEach((token, t) => {
      const [source, position, table = 0] = step.tokens.slice(t * 4, t * 4 + 3);
      assertEquals([token.source, token.position], [source, position]);
      const pages = step.blockTables[table] ?? [];
      assertEquals([...buffer.slice(token.table, token.table + pages.length)], pages);
      assert(token.table >= STEP_HEADER_WORDS && token.table + pages.length <= used);
      assertEquals(token.routes.flat(), step.routes.slice(t * K * 2, (t + 1) * K * 2));
      assertEquals(token.headRoutes.flat(), step.headRoutes.slice(t * K * 2, (t + 1) * K * 2));
    });
    const flat = (table: readonly number[], stride: number, fields: number) =>
      table.filter((_, i) => i % stride < fields);
    assertEquals(
      seen.decodeItems.flatMap(({ token, alone, first, end }) => [
        token + (alone ? ALONE : 0),
        first,
        end,
      ]),
      flat(step.decodeItems, 4, 3),
    );
    assertEquals(
      seen.decodeRows.flatMap((row) => [row.token, row.first, row.count]),
      flat(step.decodeRows, 4, 3),
    );
    assertEquals(seen.prefillTiles.flatMap((tile) => [tile.first, tile.count]), step.prefillTiles);
    assertEquals(seen.logits.map(({ token }) => token), step.logitTokens);
    seen.logits.forEach(({ sample }, r) => {
      const given = step.samples.slice(r * SAMPLE_WORDS, (r + 1) * SAMPLE_WORDS);
      assertEquals(sample.toSpliced(11, 1), given.toSpliced(11, 1));
      const list = step.biases[given[11] ?? -1] ?? [];
      assertEquals([...buffer.slice(sample[11] ?? 0, (sample[11] ?? 0) + list.length)], list);
    });
    const entries = ([a, b, c]: readonly number[]) =>
      [a, b, c].map((entry = 0) => [entry >>> 4, entry & 15] as const);
    const [first, second, third] = entries(step.shrinkEntries);
    assertEquals(
      seen.shrink,
      [
        [{ image: 7, module: 0, group: 1, entries: [first, second] }],
        [],
        [{ image: 8, module: 2, group: 0, entries: [third] }],
        ...[[], [], [], []],
      ] as typeof seen.shrink,
    );
    const [head] = entries(step.headShrinkEntries);
    assertEquals(
      seen.headShrink,
      [{ image: 9, module: 1, group: 3, entries: [head] }] as typeof seen.headShrink,
    );
  }));
});

Deno.test("writeStep() says how many words a step needs that does not fit", () => {
  fc.assert(fc.property(tables, (step) => {
    const used = writeStep(new Uint32Array(4096), step);
    writeStep(new Uint32Array(used), step);
    const error = assertThrows(() => writeStep(new Uint32Array(used - 1), step), RangeError);
    assert(error.message.startsWith(`Cannot write step: its tables need more than`));
  }));
});

Deno.test("f32Bits() is the number's IEEE 754 single", () => {
  fc.assert(fc.property(fc.double(), (value) => {
    const [bits] = new Uint32Array(Float32Array.of(value).buffer);
    assertEquals(new Float32Array(Uint32Array.of(f32Bits(value)).buffer)[0], Math.fround(value));
    if (!Number.isNaN(value)) assertEquals(f32Bits(value), bits);
  }));
});
