import type { PageId, RequestId, SlotId } from "../../memory/ids.ts";
import type { SamplingParams } from "../sampling.ts";
import { IN_PROMPT } from "../../kernels/penalize/penalize.ts";
import type { Route } from "./protocol.ts";

/** What stays the same for a sequence while it holds a slot, and its growing block table. */
export interface Slot {
  readonly slot: SlotId;
  readonly request: RequestId;
  readonly sampling: SamplingParams;
  readonly routes: readonly Route[];
  readonly pages: PageId[];
  /** Penalties are in use: occurrences are counted on the GPU. */
  readonly counted: boolean;
}

/** @throws {RangeError} for two routes to one adapter: kernels take its weight for a token to be one number. */
export function openSlot(
  slot: SlotId,
  request: RequestId,
  sampling: SamplingParams,
  routes: readonly Route[],
): Slot {
  const twice = routes.find(({ adapter }, i) =>
    routes.slice(0, i).some((r) => r.adapter === adapter)
  );
  if (twice) {
    throw new RangeError(
      `Cannot open slot: expected one route to each adapter, received two to ${twice.adapter}`,
    );
  }
  const { presencePenalty, frequencyPenalty, repetitionPenalty } = sampling;
  const counted = presencePenalty !== 0 || frequencyPenalty !== 0 || repetitionPenalty !== 1;
  return { slot, request, sampling, routes, pages: [], counted };
}

/** Occurrence counts of a vocabulary: bit 31 where in the prompt, below it how often generated. */
export function occurrences(
  vocabSize: number,
  prompt: readonly number[],
  generated: readonly number[],
): Uint32Array<ArrayBuffer> {
  const counts = new Uint32Array(vocabSize);
  for (const token of generated) counts[token] = (counts[token] ?? 0) + 1;
  for (const token of prompt) counts[token] = ((counts[token] ?? 0) | IN_PROMPT) >>> 0;
  return counts;
}
