import { adapterId, requestId } from "../../../memory/ids.ts";
import type { Sequence } from "../../../actors/batch_former/protocol.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { VOCABULARY } from "../../support/simulated_executor.ts";

/** A sequence of `length` prompt tokens; everything else as plain as it can be. */
export function sequenceOf(id: string, length: number, more: Partial<Sequence> = {}): Sequence {
  return {
    id: requestId(id),
    prompt: Array.from({ length }, (_, i) => (i * 7 + id.length) % VOCABULARY),
    generated: [],
    adapters: [],
    sampling: GREEDY,
    maxTokens: 8,
    stopTokenIds: [],
    promptLogprobs: false,
    credit: 1000,
    ...more,
  };
}

/** Plain routes to these adapters. */
export const using = (...names: string[]): Pick<Sequence, "adapters"> => ({
  adapters: names.map((name) => ({ adapter: adapterId(name), weight: 1 })),
});
