import type { Want } from "../memory_manager/protocol.ts";
import type { SequenceState } from "./sequence_state.ts";

/** What a sequence asks of memory for the next step; `spareTokens` must still find room beside a newcomer. */
export function wantOf(state: SequenceState, spareTokens: number): Want {
  const queued = state.phase === "queued";
  const written = state.takeWritten();
  return {
    request: state.request,
    tokens: state.wantedTokens,
    adapters: state.adapters.map((route) => route.adapter),
    spareTokens: queued ? spareTokens : 0,
    growth: state.longestTokens - state.wantedTokens,
    ...(queued && { prefix: state.prefix }),
    ...(written && { written }),
  };
}
