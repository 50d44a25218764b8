import { ALONE, f32Bits, FROM_SLOT, NONE, type StepTables } from "../../kernels/step_words.ts";
import { LAYER_MODULES } from "../../models/model_config.ts";
import type { Row } from "./protocol.ts";
import { ShrinkWork } from "./shrink_work.ts";
import type { Slot } from "./slots.ts";

/** Shape of the model and of the attention work, as planning needs them. */
export interface PlanShape {
  readonly kvHeads: number;
  /** Routing entries that there is room for at each token. */
  readonly maxRoutes: number;
  /** Largest window over the layers, null where any layer sees everything. */
  readonly window: number | null;
  /** Tokens a prefill attention tile takes. */
  readonly tileTokens: number;
}

/** A step's tables, and which of its optional dispatches it needs. */
export interface StepPlan {
  readonly tables: StepTables;
  readonly penalize: boolean;
  readonly logprobs: boolean;
  readonly headAdapters: boolean;
  /** For each row of logits: the row of the step it belongs to. */
  readonly logitOwners: readonly { readonly row: number; readonly kind: "sample" | "prompt" }[];
}

/** embed, which has no shrink of its own (kernels/embed), and lm_head. */
const HEAD_MODULES = 2;
/** Decode attention splits sequences until about this many workgroups run: two on each processor of a large GPU. */
export const DECODE_WORKGROUPS = 256;
/** Keys of the smallest piece, of which all are multiples, as this is of what the kernel takes at a time. */
const LEAST_PIECE = 64;

/**
 * Lays out one step: `slots[i]` holds what stays the same for `rows[i]`.
 * @throws {RangeError} for a row without a slot or tokens, and for more routes than there is room for.
 */
export function planStep(
  rows: readonly Row[],
  slots: readonly Slot[],
  shape: PlanShape,
): StepPlan {
  const routesPerToken = Math.max(0, ...slots.map((slot) => slot.routes.length));
  if (routesPerToken > shape.maxRoutes) {
    throw new RangeError(
      `Cannot plan step: a token mixes at most ${shape.maxRoutes} adapters, received ${routesPerToken}`,
    );
  }
  const tokens: number[] = [];
  const routes: number[] = [];
  const headRoutes: number[] = [];
  const prefillTiles: number[] = [];
  const decodes: { token: number; length: number }[] = [];
  const logitTokens: number[] = [];
  const samples: number[] = [];
  const biases: number[][] = [[]];
  const logitOwners: { row: number; kind: "sample" | "prompt" }[] = [];
  const layerWork = new ShrinkWork();
  const headWork = new ShrinkWork();
  let penalize = false;
  let logprobs = false;

  rows.forEach((row, index) => {
    const slot = slots[index];
    if (!slot) throw new RangeError(`Cannot plan step: row ${index} has no open slot`);
    const first = tokens.length / 4;
    const sources = row.tokens ?? [FROM_SLOT + row.slot];
    const count = sources.length;
    if (count === 0) throw new RangeError(`Cannot plan step: row ${index} has no tokens`);
    for (const [i, source] of sources.entries()) {
      tokens.push(source, row.position + i, index, 0);
      for (let k = 0; k < routesPerToken; k++) {
        const route = slot.routes[k];
        const weight = f32Bits(route?.weight ?? 0);
        routes.push(route?.layerPage ?? NONE, weight);
        headRoutes.push(route?.headPage ?? NONE, weight);
        if (route) layerWork.add(route.layerPage, route.moduleRanks, first + i, k);
      }
    }
    if (count === 1) decodes.push({ token: first, length: row.position + 1 });
    else {
      for (let i = 0; i < count; i += shape.tileTokens) {
        prefillTiles.push(first + i, Math.min(shape.tileTokens, count - i));
      }
    }
    const addLogits = (token: number, target: number | null) => {
      const sampling = slot.sampling;
      const biasIndex = sampling.logitBias.length === 0 ? 0 : biases.length;
      if (target === null && biasIndex > 0) {
        biases.push(sampling.logitBias.flatMap(([id, bias]) => [id, f32Bits(bias)]));
      }
      const row32 = logitTokens.length;
      for (const [k, route] of slot.routes.entries()) {
        headWork.add(route.headPage, [0, route.headRanks[1] ?? 0], row32, k);
      }
      logitTokens.push(token);
      samples.push(...sampleWords(slot, row.position + (token - first) + 1, target, biasIndex));
      logitOwners.push({ row: index, kind: target === null ? "sample" : "prompt" });
      if (target === null && (slot.counted || biasIndex > 0)) penalize = true;
      if (target !== null || sampling.topLogprobs !== null) logprobs = true;
    };
    row.promptTargets?.forEach((target, i) => {
      if (target !== null) addLogits(first + i, target);
    });
    if (row.sample) addLogits(first + count - 1, null);
  });

  const layerShrink = layerWork.tables(LAYER_MODULES.length);
  const headShrink = headWork.tables(HEAD_MODULES);
  return {
    tables: {
      tokenCount: tokens.length / 4,
      routesPerToken,
      logitRows: logitTokens.length,
      tokens,
      blockTables: slots.map((slot) => slot.pages),
      routes,
      headRoutes,
      ...decodeWork(decodes, shape),
      prefillTiles,
      logitTokens,
      samples,
      biases,
      shrinkItems: layerShrink.items,
      shrinkEntries: layerShrink.entries,
      headShrinkItems: headShrink.items.flat(),
      headShrinkEntries: headShrink.entries,
    },
    penalize,
    logprobs,
    headAdapters: headShrink.entries.length > 0,
    logitOwners,
  };
}

/** The 16 words of a logit row; kernels/sample/sample.wgsl names the fields. */
function sampleWords(slot: Slot, position: number, target: number | null, bias: number): number[] {
  const s = slot.sampling;
  const flags = target === null ? 1 + (slot.counted ? 2 : 0) : 0;
  return [
    slot.slot,
    position,
    f32Bits(s.temperature),
    s.topK,
    f32Bits(s.topP),
    f32Bits(s.minP),
    s.seed % 2 ** 32,
    Math.floor(s.seed / 2 ** 32),
    f32Bits(s.presencePenalty),
    f32Bits(s.frequencyPenalty),
    f32Bits(s.repetitionPenalty),
    target === null ? bias : 0,
    target === null ? s.logitBias.length : 0,
    s.topLogprobs ?? (target === null ? NONE : 0),
    target ?? NONE,
    flags,
  ];
}

/**
 * Decode attention: each token's keys in pieces of an even share of all keys, so that one long sequence among short
 * ones does not keep the others' processors waiting. At most one piece a token more than DECODE_WORKGROUPS.
 */
function decodeWork(
  decodes: readonly { token: number; length: number }[],
  shape: PlanShape,
): Pick<StepTables, "decodeItems" | "decodeRows"> {
  const decodeItems: number[] = [];
  const decodeRows: number[] = [];
  const oldest = (length: number) => shape.window === null ? 0 : Math.max(0, length - shape.window);
  const keys = decodes.reduce((sum, { length }) => sum + length - oldest(length), 0);
  const share = (keys * shape.kvHeads) / DECODE_WORKGROUPS / LEAST_PIECE;
  const size = Math.max(1, Math.ceil(share)) * LEAST_PIECE;
  for (const { token, length } of decodes) {
    const [from, first] = [oldest(length), decodeItems.length / 4];
    if (length - from <= size) {
      decodeItems.push(ALONE + token, from, length, 0);
      continue;
    }
    for (let key = from; key < length; key += size) {
      decodeItems.push(token, key, Math.min(length, key + size), 0);
    }
    decodeRows.push(token, first, decodeItems.length / 4 - first, 0);
  }
  return { decodeItems, decodeRows };
}
