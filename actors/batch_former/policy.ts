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

export interface Pick<C> {
  readonly candidate: C;
  readonly tokens: number;
}

/** Shares out a step: a token for each decoding sequence first, then prompts in chunks as large as fit. */
export function formBatch<C extends Candidate>(
  candidates: readonly C[],
  room: StepRoom,
): Pick<C>[] {
  let { tokens, logitRows } = room;
  const picks: Pick<C>[] = [];
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

/** A sequence in the queue. */
export interface Queued {
  /** It could run if it were given pages: no adapter is awaited and it has credit. */
  readonly admissible: boolean;
  /** Since when there has been no room for it; null: it was not asked for, or would fit. */
  readonly blockedSince: number | null;
  readonly ready: number;
}

/** Sequences that did not fit and are asked for again with every plan. */
const PROBES = 16;

/**
 * Which queued sequences to ask memory for, in the order of `queue`. Those that did not fit last time are asked
 * for beside the others, so that nobody waits behind them but where they bar the way.
 */
export function pickAdmissions<Q extends Queued>(
  queue: Iterable<Q>,
  room: { readonly slots: number; readonly tokens: number },
  bars: (queued: Q) => boolean,
): Q[] {
  let { slots, tokens } = room;
  let probes = PROBES;
  const picks: Q[] = [];
  if (slots < 1 || tokens < 1) return picks;
  for (const queued of queue) {
    if (!queued.admissible) continue;
    if (queued.blockedSince === null) {
      picks.push(queued);
      slots--;
      tokens -= queued.ready;
      if (slots < 1 || tokens < 1) break;
    } else {
      if (probes > 0) picks.push(queued);
      probes--;
      if (bars(queued)) break;
    }
  }
  return picks;
}
