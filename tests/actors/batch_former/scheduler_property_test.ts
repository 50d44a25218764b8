import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  POLICY_DEFAULTS,
  type PolicyName,
  type PolicyOptions,
} from "../../../actors/policy_options.ts";
import type { Sequence } from "../../../actors/batch_former/protocol.ts";
import type { RequestId } from "../../../memory/ids.ts";
import { randomSource } from "../../support/random.ts";
import { BLOCK, runAlone, VOCABULARY } from "../../support/simulated_executor.ts";
import { sequenceOf, using } from "./sequences.ts";
import { type EngineShape, SimulatedEngine } from "./simulated_engine.ts";

const shapes: fc.Arbitrary<EngineShape> = fc.record({
  maxRunning: fc.integer({ min: 1, max: 6 }),
  moreTokens: fc.integer({ min: 0, max: 40 }),
  moreLogits: fc.integer({ min: 0, max: 20 }),
  blocks: fc.integer({ min: 4, max: 20 }),
  pagesPerBlock: fc.constantFrom(1, 1, 2, 3),
  headPages: fc.integer({ min: 0, max: 6 }),
  hostBytes: fc.integer({ min: 20, max: 60 }),
  overCommit: fc.constantFrom(1, 2, 5, Infinity),
  learnsOutput: fc.boolean(),
  prefixCache: fc.constantFrom(true, true, true, false),
  sizes: fc.array(
    fc.record({ layers: fc.integer({ min: 0, max: 6 }), head: fc.integer({ min: 0, max: 3 }) }),
    { minLength: 1, maxLength: 6 },
  ),
}).map(({ moreTokens, moreLogits, blocks, sizes, ...shape }) => ({
  ...shape,
  maxBatchTokens: shape.maxRunning + moreTokens,
  maxLogitRows: shape.maxRunning + moreLogits,
  layerPages: blocks * shape.pagesPerBlock,
  adapters: {
    ...Object.fromEntries(
      sizes.map((
        size,
        i,
      ) => [`a${i}`, size.layers + size.head > 0 ? size : { layers: 1, head: 0 }]),
    ),
    broken: null,
  },
}));

const below = (random: () => number, bound: number) => Math.floor(random() * bound);

function randomSequence(random: () => number, id: string, adapters: readonly string[]): Sequence {
  const used = Array.from(
    { length: [0, 1, 1, 1, 2][below(random, 5)] ?? 0 },
    () => adapters[below(random, adapters.length)] ?? "a0",
  );
  const replayed = random() < 0.15 ? below(random, 6) : 0;
  return sequenceOf(id, 1 + below(random, 60), {
    generated: Array.from({ length: replayed }, () => 1 + below(random, VOCABULARY - 1)),
    ...using(...random() < 0.03 ? ["broken"] : used),
    maxTokens: 1 + replayed + below(random, 40),
    stopTokenIds: random() < 0.5 ? [0] : [],
    promptLogprobs: random() < 0.3,
    credit: random() < 0.6 ? 1000 : below(random, 4),
    ...(random() < 0.1 && { cacheSalt: "salt" }),
  });
}

/** What policies look at, drawn apart so that the sequences are the same under each. */
function marked(sequence: Sequence, random: () => number): Sequence {
  return {
    ...sequence,
    ...(random() < 0.4 && {
      tenant: `t${below(random, 2)}`,
      shares: { tenant: 1 + below(random, 2), adapter: 1 },
    }),
    ...(random() < 0.5 && { priority: below(random, 4) - 2 }),
  };
}

/** A request that may fail: it would not fit even if nothing else were in memory. */
function mayFail(sequence: Sequence, shape: EngineShape): boolean {
  const names = new Set(sequence.adapters.map(({ adapter }) => adapter));
  const tokens = sequence.prompt.length + sequence.maxTokens;
  let layers = Math.ceil(tokens / BLOCK) * shape.pagesPerBlock;
  let head = 0;
  for (const name of names) {
    const size = shape.adapters[name];
    if (!size) return true;
    layers += size.layers;
    head += size.head;
  }
  return layers > shape.layerPages || head > shape.headPages;
}

interface Totals {
  finished: number;
  failed: number;
  shed: number;
  preemptions: number;
  uploads: number;
  /** Prompt tokens found in the prefix cache. */
  hits: number;
}

function live(shape: EngineShape, seed: number, totals: Totals): void {
  const random = randomSource(seed);
  const engine = new SimulatedEngine(shape);
  const names = Object.keys(shape.adapters);
  for (const name of names) engine.register(name);
  const marks = randomSource(seed + 1);
  const sequences = Array.from(
    { length: 4 + below(random, 16) },
    (_, i) => randomSequence(random, `r${i}`, names.filter((name) => name !== "broken")),
  ).map((sequence) => shape.policy ? marked(sequence, marks) : sequence);
  const toSubmit = [...sequences];
  const cancelled = new Set<RequestId>();
  // Arrivals, cancellations and credit at any moment between any two messages.
  for (let i = 0; i < 4000 && (toSubmit.length > 0 || i < 400); i++) {
    const dice = random();
    const known = sequences[below(random, sequences.length)];
    if (dice < 0.04) {
      const next = toSubmit.shift();
      if (next) engine.submit(next);
    } else if (dice < 0.045 && known && engine.seen.has(known.id)) {
      if (engine.seen.get(known.id)?.ends.length === 0) cancelled.add(known.id);
      engine.cancel(known.id);
    } else if (dice < 0.08 && known && engine.seen.has(known.id)) {
      engine.extendCredit(known.id, 1 + below(random, 5));
    } else engine.deliver(random);
  }
  for (const sequence of toSubmit) engine.submit(sequence);
  for (const { id } of sequences) engine.extendCredit(id, 1000);
  // In strict order, actors that kept each other busy for nothing would never let the executor work.
  engine.settle(seed % 2 === 0 ? random : () => 0);

  for (const sequence of sequences) {
    const seen = engine.seen.get(sequence.id);
    const alone = runAlone(sequence);
    assert(seen);
    assertEquals(seen.tokens, alone.tokens.slice(0, seen.tokens.length), sequence.id);
    if (cancelled.has(sequence.id)) continue;
    assertEquals(seen.ends.length, 1, `${sequence.id} ends once`);
    if (seen.ends[0]?.kind === "shed") {
      assertEquals([seen.tokens, sequence.generated], [[], []], "only who has not begun is shed");
      totals.shed++;
      continue;
    }
    if (seen.ends[0]?.kind === "failed") {
      assert(mayFail(sequence, shape), `${sequence.id} ends as ${JSON.stringify(seen.ends)}`);
      totals.failed++;
      continue;
    }
    assertEquals({ tokens: seen.tokens, end: seen.ends[0] }, {
      tokens: alone.tokens,
      end: alone.end,
    });
    assertEquals(seen.promptLogprobs, alone.promptLogprobs);
    totals.finished++;
  }
  const load = engine.scheduler.load;
  const { running, waiting, kvPages, cachedPages, freePages, adapterPages, pages } = load;
  assertEquals({ running, waiting, kvPages }, { running: 0, waiting: 0, kvPages: 0 });
  assertEquals(freePages + cachedPages + adapterPages, pages);
  assert(shape.prefixCache !== false || load.prefixHits === 0);
  totals.hits += load.prefixHits;
  totals.preemptions += engine.scheduler.load.preemptions;
  totals.uploads += engine.uploads.length;
}

/** Two wants once read each other's adapters out of host memory for as long as an upload held the rest of it. */
const OVER_HOST_MEMORY: EngineShape = {
  maxRunning: 3,
  pagesPerBlock: 1,
  headPages: 3,
  hostBytes: 20,
  prefixCache: true,
  maxBatchTokens: 4,
  maxLogitRows: 3,
  layerPages: 9,
  adapters: {
    a0: { layers: 4, head: 3 },
    a1: { layers: 1, head: 0 },
    a2: { layers: 3, head: 2 },
    a3: { layers: 1, head: 0 },
    a4: { layers: 5, head: 3 },
    broken: null,
  },
};

const POLICIES: readonly (readonly PolicyName[])[] = [
  ["fcfs"],
  ["priority"],
  ["vtc"],
  ["abort"],
  ["cluster"],
  ["vtc", "abort", "cluster"],
  ["priority", "vtc", "cluster"],
  ["abort", "priority"],
  ["cluster", "abort", "vtc"],
];

for (const names of POLICIES) {
  Deno.test(`${names}: any mix of arrivals, cancels, credit, adapters and pressure yields what each request yields alone`, () => {
    const totals: Totals = { finished: 0, failed: 0, shed: 0, preemptions: 0, uploads: 0, hits: 0 };
    const policies: fc.Arbitrary<PolicyOptions | undefined> = fc.record({
      names: fc.constant(names),
      agingMs: fc.constantFrom(0, 20, 300),
      sloMs: fc.constantFrom(200, 1500),
      clusterAdapters: fc.constantFrom(1, 2, 3),
      prices: fc.constant(POLICY_DEFAULTS.prices),
    });
    fc.assert(
      fc.property(
        shapes,
        policies,
        fc.integer(),
        (shape, policy, seed) => live(policy ? { ...shape, policy } : shape, seed, totals),
      ),
      { numRuns: 80, examples: [[OVER_HOST_MEMORY, undefined, 2147483633]] },
    );
    // The property says something only if what it is about did happen.
    assert(totals.finished > 100, `${JSON.stringify(totals)}`);
    assert(
      totals.failed > 10 && totals.preemptions > 20 && totals.uploads > 150 && totals.hits > 100,
      `${JSON.stringify(totals)}`,
    );
    assertEquals(totals.shed > 0, names.includes("abort"), `${JSON.stringify(totals)}`);
  });
}
