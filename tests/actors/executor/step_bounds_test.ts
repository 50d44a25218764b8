import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Row } from "../../../actors/executor/protocol.ts";
import { openSlot, type Slot } from "../../../actors/executor/slots.ts";
import { stepBounds } from "../../../actors/executor/step_bounds.ts";
import { DECODE_WORKGROUPS, planStep } from "../../../actors/executor/step_plan.ts";
import { GREEDY, MAX_LOGIT_BIAS } from "../../../actors/sampling.ts";
import { writeStep } from "../../../kernels/step_words.ts";
import { adapterId, pageId, requestId, slotId } from "../../../memory/ids.ts";
import { parseModelConfig } from "../../../models/parse_config.ts";

const model = (more: Record<string, unknown> = {}) =>
  parseModelConfig({
    model_type: "llama",
    hidden_size: 64,
    intermediate_size: 128,
    num_hidden_layers: 1,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 16,
    vocab_size: 2048,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    hidden_act: "silu",
    ...more,
  }, "test");

const options = { maxBatchTokens: 64, maxRunning: 8, maxRoutes: 1, maxModelLen: 512 };
const bias = Array.from({ length: MAX_LOGIT_BIAS }, (_, token) => [token, -1] as const);

/** The greediest rows there can be: own adapters of rank 256 everywhere, full tables, longest biases. */
function greediest(
  counts: readonly number[],
  limits: { maxRoutes: number; maxModelLen: number; maxLogitRows: number },
  pagesPerBlock: number,
): { rows: Row[]; slots: Slot[] } {
  let logits = limits.maxLogitRows - counts.length;
  const pages = Math.ceil(limits.maxModelLen / 16) * pagesPerBlock;
  const slots = counts.map((_, i) => {
    const routes = Array.from({ length: limits.maxRoutes }, (_, k) => ({
      adapter: adapterId(`${i} ${k}`),
      weight: 1,
      layerPage: pageId(i * limits.maxRoutes + k),
      headPage: pageId(i * limits.maxRoutes + k),
      moduleRanks: [256, 256, 256, 256, 256, 256, 256],
      headRanks: [256, 256],
    }));
    const sampling = { ...GREEDY, logitBias: bias, topLogprobs: 20 };
    const slot = openSlot(slotId(i), requestId(`r${i}`), sampling, routes);
    slot.pages.push(...Array.from({ length: pages }, (_, p) => pageId(p)));
    return slot;
  });
  const rows = counts.map((count, i) => {
    const targets = Array.from(
      { length: count },
      (_, t) => t + 1 < count && logits-- > 0 ? t : null,
    );
    return {
      slot: slotId(i),
      tokens: count === 1 ? null : Array.from({ length: count }, () => 1),
      position: limits.maxModelLen - count,
      newPages: [],
      sample: true,
      promptTargets: count === 1 ? null : targets,
    };
  });
  return { rows, slots };
}

Deno.test("every step within stepBounds() fits into its words and its decode items", () => {
  const sizes = fc.record({
    maxRunning: fc.integer({ min: 1, max: 40 }),
    more: fc.nat(300),
    maxRoutes: fc.integer({ min: 1, max: 16 }),
    maxModelLen: fc.integer({ min: 300, max: 4096 }),
    kvHeads: fc.constantFrom(1, 2, 4, 8),
    pagesPerBlock: fc.constantFrom(1, 2, 5),
    window: fc.constantFrom(null, 50),
    shares: fc.array(fc.nat(9), { minLength: 1, maxLength: 40 }),
  });
  fc.assert(
    fc.property(sizes, ({ more, kvHeads, pagesPerBlock, window, shares, ...some }) => {
      const limits = { ...some, maxBatchTokens: some.maxRunning + more };
      const bounds = stepBounds(limits, model({ num_key_value_heads: kvHeads }), pagesPerBlock);
      // All slots run; what is left of the token budget goes to them by shares.
      let left = more;
      const counts = Array.from({ length: limits.maxRunning }, (_, i) => {
        const share = i + 1 === limits.maxRunning
          ? left
          : Math.floor((left * (shares[i % shares.length] ?? 0)) / 10);
        left -= share;
        return 1 + share;
      }).map((count) => Math.min(count, limits.maxModelLen));
      const { rows, slots } = greediest(counts, bounds, pagesPerBlock);
      const shape = { kvHeads, window, maxRoutes: bounds.maxRoutes, tileTokens: 64 };
      const { tables } = planStep(rows, slots, shape);
      assert(tables.logitRows <= bounds.maxLogitRows);
      assert(tables.decodeItems.length / 4 <= bounds.decodeItems);
      writeStep(new Uint32Array(bounds.stepWords), tables);
    }),
    { numRuns: 40 },
  );
});

Deno.test("stepBounds() leaves no more room than the largest step needs, a few words apart", () => {
  const limits = { maxBatchTokens: 600, maxRunning: 600, maxRoutes: 2, maxModelLen: 512 };
  const bounds = stepBounds(limits, model(), 1);
  const { rows, slots } = greediest(Array(600).fill(1), bounds, 1);
  const shape = { kvHeads: 2, window: null, maxRoutes: 2, tileTokens: 64 };
  const used = writeStep(new Uint32Array(bounds.stepWords), planStep(rows, slots, shape).tables);
  // Nothing is left but the prefill tiles that a step of decode rows alone does not have, and the further pieces of
  // long sequences and what brings them together, of which these have none.
  const pieces = 4 * (DECODE_WORKGROUPS + limits.maxRunning);
  assertEquals(bounds.stepWords - used, limits.maxBatchTokens + pieces);
});

Deno.test("stepBounds() takes the model's length, at most 8,192 tokens, where none is asked for", () => {
  const length = (positions: number) =>
    stepBounds({ ...options, maxModelLen: null }, model({ max_position_embeddings: positions }), 1)
      .maxModelLen;
  assertEquals([length(2048), length(131072)], [2048, 8192]);
});

Deno.test("stepBounds() refuses what the model or the kernels cannot do, naming it", () => {
  const refused = (more: Partial<typeof options>, config: Record<string, unknown>, why: string) =>
    assertThrows(() => stepBounds({ ...options, ...more }, model(config), 1), RangeError, why);
  refused(
    { maxModelLen: 5000 },
    {},
    "Cannot use max-model-len: the model has 4096 positions, received 5000",
  );
  refused({ maxBatchTokens: 65536 }, {}, "max-batch-tokens: a step takes at most 65535, received");
  refused({ maxRunning: 65280 }, {}, "max-running: a step takes at most 65279, received 65280");
  refused({ maxRoutes: 17 }, {}, "a token mixes at most 16 adapters, received 17");
  refused({}, { head_dim: 272 }, "attention takes a head_dim of at most 256, received 272");
  refused(
    {},
    { num_attention_heads: 34, num_key_value_heads: 2 },
    "at most 16 heads may share a kv head, received 17",
  );
});
