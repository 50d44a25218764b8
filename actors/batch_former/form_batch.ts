import type { Phase } from "./sequence_state.ts";

/** What of a step is bounded. */
export interface StepRoom {
  readonly tokens: number;
  /** Rows of logits: one for each token sampled, and one for each prompt token reported. */
  readonly logitRows: number;
}

/** A sequence that could take part in the step, oldest first. */
export interface Candidate {
  readonly phase: Phase;
  /** Tokens that it could compute now. */
  readonly ready: number;
  /** Every token of it needs a row of logits, not only the last. */
  readonly reportsPrompt: boolean;
}

/** A candidate's part of the step. */
export interface Share<C> {
  readonly candidate: C;
  readonly tokens: number;
}

/** Shares out a step: a token for each decoding sequence first, then prompts in chunks as large as fit. */
export function formBatch<C extends Candidate>(
  candidates: readonly C[],
  room: StepRoom,
): Share<C>[] {
  let { tokens, logitRows } = room;
  const picks: Share<C>[] = [];
  const decoding = candidates.filter((candidate) => candidate.phase === "decoding");
  const others = candidates.filter((candidate) => candidate.phase !== "decoding");
  for (const candidate of [...decoding, ...others]) {
    const most = candidate.reportsPrompt ? Math.min(tokens, logitRows) : tokens;
    const count = Math.min(candidate.ready, most);
    if (count < 1 || logitRows < 1) continue;
    picks.push({ candidate, tokens: count });
    tokens -= count;
    logitRows -= candidate.reportsPrompt ? count : 1;
  }
  return picks;
}
