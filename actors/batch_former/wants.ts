import { BLOCK_TOKENS } from "../../models/adapter_image.ts";
import type { MemoryWant } from "../memory_manager/protocol.ts";
import type { SequenceState } from "./sequence_state.ts";

/**
 * What a sequence asks of memory for the next step; `spareTokens` must still find room beside a newcomer, and it is
 * counted on to take `share` of the output that it may take. `headless`: it comes after one that bars the head pool.
 */
export function wantOf(
  state: SequenceState,
  spareTokens: number,
  share: number,
  headless: boolean,
): MemoryWant {
  const queued = state.phase === "queued";
  const written = state.takeWritten();
  return {
    request: state.request,
    tokens: state.wantedTokens,
    adapters: state.adapters.map((route) => route.adapter),
    spareTokens: queued ? spareTokens : 0,
    growth: growthOf(state, share),
    ...(queued && { prefix: state.prefix }),
    ...(written && { written }),
    ...(headless && { headless }),
  };
}

/** One that has made as much as was counted on may go on to its bound, but is as likely to end soon. */
function growthOf(state: SequenceState, share: number): number {
  const most = state.longestTokens - state.wantedTokens;
  const expected = Math.ceil(share * state.maxTokens) - state.made;
  return Math.min(most, Math.max(expected, BLOCK_TOKENS));
}
