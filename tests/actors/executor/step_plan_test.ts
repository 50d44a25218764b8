import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Route } from "../../../actors/executor/protocol.ts";
import { type PlanShape, planStep, type StepPlan } from "../../../actors/executor/step_plan.ts";
import { f32Bits, FROM_SLOT, NONE, writeStep } from "../../../kernels/step_words.ts";
import { type AskedStep, askedSteps } from "../../support/planned_steps.ts";
import { readStep, type SeenShrink, type SeenStep } from "../../support/read_step.ts";

const shapes: fc.Arbitrary<PlanShape> = fc.record({
  kvHeads: fc.constantFrom(1, 2, 8),
  maxRoutes: fc.constant(2),
  window: fc.constantFrom(null, 24, 1000),
  tileTokens: fc.constantFrom(16, 64),
});

/** The step as kernels see it, after its way through the step buffer. */
function seen({ tables }: StepPlan): SeenStep {
  const words = new Uint32Array(1 << 18);
  return readStep(words.subarray(0, writeStep(words, tables)), {
    decodeItems: tables.decodeItems.length / 4,
    decodeRows: tables.decodeRows.length / 4,
    prefillTiles: tables.prefillTiles.length / 2,
  });
}

/** Each row of the step with the index of its first token and its number of tokens. */
function placed({ rows, slots }: AskedStep) {
  let first = 0;
  return rows.map((row, index) => {
    const count = row.tokens?.length ?? 1;
    first += count;
    return { row, slot: slots[index], first: first - count, count };
  });
}

const property = (check: (asked: AskedStep, shape: PlanShape, plan: StepPlan) => void) =>
  fc.assert(fc.property(askedSteps(), shapes, (asked, shape) => {
    check(asked, shape, planStep(asked.rows, asked.slots, shape));
  }));

Deno.test("planStep() lays out every token of every row once, in order, with its slot's pages", () => {
  property((asked, _, plan) => {
    const words = new Uint32Array(1 << 18);
    writeStep(words, plan.tables);
    const { tokens } = seen(plan);
    assertEquals(tokens.length, placed(asked).reduce((sum, { count }) => sum + count, 0));
    for (const { row, slot, first, count } of placed(asked)) {
      for (let i = 0; i < count; i++) {
        const token = tokens[first + i];
        assertEquals(token?.source, row.tokens ? row.tokens[i] : FROM_SLOT + row.slot);
        assertEquals(token?.position, row.position + i);
        const pages = slot?.pages ?? [];
        const table = token?.table ?? 0;
        assertEquals([...words.slice(table, table + pages.length)], [...pages] as number[]);
      }
    }
  });
});

Deno.test("planStep() gives each token either pieces of decode attention or a prefill tile", () => {
  property((asked, shape, plan) => {
    const step = seen(plan);
    const attended = new Set<number>();
    const once = (token: number) => {
      assert(!attended.has(token), `token ${token} is attended to twice`);
      attended.add(token);
    };
    const keysOf = (token: number) => {
      const past = (step.tokens[token]?.position ?? -1) + 1;
      return [shape.window === null ? 0 : Math.max(0, past - shape.window), past] as const;
    };
    const alone = step.decodeItems.filter((item) => item.alone);
    for (const { token, first, end } of alone) {
      once(token);
      assertEquals([first, end], keysOf(token), "it has all keys");
    }
    for (const { token, first, count } of step.decodeRows) {
      once(token);
      let [key, past] = keysOf(token);
      const items = step.decodeItems.slice(first, first + count);
      assert(items.length === count && count > 1);
      for (const item of items) {
        assert(!item.alone);
        assertEquals([item.token, item.first], [token, key], "pieces follow each other");
        assert(item.end > item.first);
        key = item.end;
      }
      assertEquals(key, past, "the last piece ends with the token itself");
    }
    assertEquals(
      step.decodeRows.reduce((sum, { count }) => sum + count, 0),
      step.decodeItems.length - alone.length,
    );
    const rows = placed(asked);
    for (const { first, count } of step.prefillTiles) {
      assert(count >= 1 && count <= shape.tileTokens);
      for (let i = 0; i < count; i++) once(first + i);
      const row = rows.find((row) => first >= row.first && first < row.first + row.count);
      assert(row && first + count <= row.first + row.count, "a tile is of one sequence");
    }
    assertEquals(attended.size, step.tokens.length);
  });
});

/** Every (image, module, rank group, row, k) of a list of shrink items. */
const covered = (items: readonly SeenShrink[]) =>
  items.flatMap(({ image, module, group, entries }) => {
    assert(entries.length >= 1 && entries.length <= 4, "an item has one to four entries");
    return entries.map(([row, k]) => `${image} ${module} ${group} ${row} ${k}`);
  }).sort();

/** What must be shrunk for `routes` at `row`. */
const due = (
  row: number,
  routes: readonly Route[],
  of: (route: Route) => [image: number | null, ranks: readonly number[]],
) =>
  routes.flatMap((route, k) => {
    const [image, ranks] = of(route);
    return ranks.flatMap((rank, module) => {
      const groups = image === null ? 0 : Math.ceil(rank / 16);
      return Array.from({ length: groups }, (_, g) => `${image} ${module} ${g} ${row} ${k}`);
    });
  });

Deno.test("planStep() routes and shrinks exactly the tokens and logit rows that have an adapter", () => {
  property((asked, _, plan) => {
    const step = seen(plan);
    const K = Math.max(...asked.slots.map(({ routes }) => routes.length));
    const rows = placed(asked);
    const layers: string[] = [];
    for (const { slot, first, count } of rows) {
      const routes = slot?.routes ?? [];
      for (let t = first; t < first + count; t++) {
        const entries = (page: (route: Route) => number | null) =>
          Array.from({ length: K }, (_, k) => {
            const route = routes[k];
            return [(route && page(route)) ?? NONE, f32Bits(route?.weight ?? 0)] as const;
          });
        assertEquals(step.tokens[t]?.routes, entries(({ layerPage }) => layerPage));
        assertEquals(step.tokens[t]?.headRoutes, entries(({ headPage }) => headPage));
        layers.push(...due(t, routes, (route) => [route.layerPage, route.moduleRanks]));
      }
    }
    assertEquals(covered(step.shrink.flat()), layers.sort());
    step.shrink.forEach((items, module) => assert(items.every((item) => item.module === module)));
    const head = plan.logitOwners.flatMap(({ row }, r) =>
      due(
        r,
        asked.slots[row]?.routes ?? [],
        (route) => [route.headPage, [0, route.headRanks[1] ?? 0]],
      )
    );
    assertEquals(covered(step.headShrink), head.sort());
    assertEquals(plan.headAdapters, head.length > 0);
  });
});

Deno.test("planStep() asks for logits of each target and each draw, with the request's sampling", () => {
  property((asked, _, plan) => {
    const { logits } = seen(plan);
    const wanted = placed(asked).flatMap(({ row, slot, first, count }, index) => {
      const targets = (row.promptTargets ?? []).flatMap((target, i) =>
        target === null ? [] : [{ index, slot, token: first + i, at: row.position + i + 1, target }]
      );
      const last = first + count - 1;
      const draw = { index, slot, token: last, at: row.position + count, target: null };
      return row.sample ? [...targets, draw] : targets;
    });
    assertEquals(logits.map(({ token }) => token), wanted.map(({ token }) => token));
    assertEquals(
      plan.logitOwners,
      wanted.map(({ index, target }) => ({
        row: index,
        kind: target === null ? "sample" : "prompt",
      })),
    );
    wanted.forEach(({ slot, at, target }, r) => {
      const { sample = [], bias } = logits[r] ?? {};
      const s = slot?.sampling;
      assert(s && slot);
      const drawn = target === null;
      assertEquals(sample.slice(0, 2), [slot.slot as number, at]);
      assertEquals(sample.slice(2, 6), [
        f32Bits(s.temperature),
        s.topK,
        f32Bits(s.topP),
        f32Bits(s.minP),
      ]);
      assertEquals(BigInt(sample[6] ?? 0) + (BigInt(sample[7] ?? 0) << 32n), BigInt(s.seed));
      assertEquals(
        sample.slice(8, 11),
        [s.presencePenalty, s.frequencyPenalty, s.repetitionPenalty].map(f32Bits),
      );
      assertEquals(bias, drawn ? s.logitBias.flatMap(([id, value]) => [id, f32Bits(value)]) : []);
      assertEquals(sample[13], s.topLogprobs ?? (drawn ? NONE : 0));
      assertEquals(sample[14], target ?? NONE);
      assertEquals(sample[15], drawn ? (slot.counted ? 3 : 1) : 0);
    });
    const draws = wanted.filter(({ target }) => target === null);
    const penalized = draws.some(({ slot }) => slot?.counted || slot?.sampling.logitBias.length);
    assertEquals(plan.penalize, penalized);
    const reports = wanted.some(({ slot, target }) =>
      target !== null || slot?.sampling.topLogprobs !== null
    );
    assertEquals(plan.logprobs, reports);
  });
});

Deno.test("planStep() refuses a row without a slot, without tokens, or with too many adapters", () => {
  const shape = { kvHeads: 1, maxRoutes: 1, window: null, tileTokens: 64 };
  const routed = askedSteps().filter(({ slots }) => slots.some(({ routes }) => routes.length > 1));
  const [asked] = fc.sample(routed, { numRuns: 1, seed: 1 });
  assert(asked);
  const { rows, slots } = asked;
  assertThrows(() => planStep(rows, [], shape), RangeError, "row 0 has no open slot");
  assertThrows(() => planStep(rows, slots, shape), RangeError, "at most 1 adapters, received 2");
  const empty = rows.map((row) => ({ ...row, tokens: [] }));
  assertThrows(
    () => planStep(empty, slots, { ...shape, maxRoutes: 2 }),
    RangeError,
    "row 0 has no tokens",
  );
});
