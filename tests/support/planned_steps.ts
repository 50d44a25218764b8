import fc from "fast-check";
import type { Route, Row } from "../../actors/executor/protocol.ts";
import { openSlot, type Slot } from "../../actors/executor/slots.ts";
import { GREEDY, type SamplingParams } from "../../actors/sampling.ts";
import { adapterId, pageId, requestId, slotId } from "../../memory/ids.ts";

/** A step as the batch former could ask for: rows of different slots with room for all their tokens. */
export interface AskedStep {
  readonly rows: readonly Row[];
  readonly slots: readonly Slot[];
}

const BLOCK = 16;
const VOCAB = 500;

/** Adapters that are resident at once: some on the layers, some on the head, some on both. */
const RESIDENT: readonly Omit<Route, "weight">[] = [
  { layerPage: 3, headPage: null, moduleRanks: [4, 0, 4, 0, 0, 0, 0], headRanks: [0, 0] },
  { layerPage: 11, headPage: null, moduleRanks: [0, 0, 0, 0, 17, 33, 16], headRanks: [0, 0] },
  { layerPage: null, headPage: 5, moduleRanks: [0, 0, 0, 0, 0, 0, 0], headRanks: [8, 0] },
  { layerPage: 20, headPage: 9, moduleRanks: [256, 1, 1, 1, 1, 1, 1], headRanks: [0, 40] },
].map(({ layerPage, headPage, ...ranks }, i) => ({
  adapter: adapterId(`a${i}`),
  layerPage: layerPage === null ? null : pageId(layerPage),
  headPage: headPage === null ? null : pageId(headPage),
  ...ranks,
}));

const sampling: fc.Arbitrary<SamplingParams> = fc.record({
  temperature: fc.constantFrom(0, 0.7, 1.5),
  topK: fc.nat(40),
  topP: fc.constantFrom(1, 0.9),
  minP: fc.constantFrom(0, 0.05),
  seed: fc.nat(Number.MAX_SAFE_INTEGER - 1),
  presencePenalty: fc.constantFrom(0, 0, 0.5),
  repetitionPenalty: fc.constantFrom(1, 1, 1.2),
  logitBias: fc.array(fc.tuple(fc.nat(VOCAB - 1), fc.constantFrom(-100, 1.5)), { maxLength: 3 }),
  topLogprobs: fc.constantFrom(null, null, 0, 5),
}).map((some) => ({ ...GREEDY, ...some }));

/** Steps of up to `maxRows` sequences with up to two adapters each. */
export const askedSteps = (maxRows = 8): fc.Arbitrary<AskedStep> =>
  fc.uniqueArray(
    fc.record({
      slot: fc.nat(63),
      position: fc.oneof(fc.nat(40), fc.nat(3000)),
      count: fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 90 })),
      sample: fc.boolean(),
      reports: fc.boolean(),
      routes: fc.uniqueArray(fc.tuple(fc.constantFrom(...RESIDENT), fc.constantFrom(1, -0.5)), {
        selector: ([{ adapter }]) => adapter,
        maxLength: 2,
      }),
      sampling,
    }),
    { selector: ({ slot }) => slot, minLength: 1, maxLength: maxRows },
  ).map((asked) => ({
    slots: asked.map(({ slot, sampling, routes, position, count }) => {
      const opened = openSlot(
        slotId(slot),
        requestId(`r${slot}`),
        sampling,
        routes.map(([route, weight]) => ({ ...route, weight })),
      );
      const blocks = Math.ceil((position + Math.max(1, count)) / BLOCK);
      for (let i = 0; i < blocks; i++) opened.pages.push(pageId(slot * 1000 + i));
      return opened;
    }),
    rows: asked.map(({ slot, position, count, sample, reports }) => ({
      slot: slotId(slot),
      // No tokens: the one that was sampled last, which is then always followed by a draw.
      tokens: count === 0 ? null : Array.from({ length: count }, (_, i) => (slot * 7 + i) % VOCAB),
      position,
      newPages: [],
      sample: sample || count === 0,
      promptTargets: !reports || count === 0
        ? null
        : Array.from({ length: count }, (_, i) => i % 3 === 2 || i + 1 === count ? null : i),
    })),
  }));
