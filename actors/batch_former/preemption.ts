import type { Grant } from "../memory_manager/protocol.ts";
import type { Phase } from "./sequence_state.ts";

/** A running sequence that could give up its pages. */
export interface Victim {
  readonly arrival: number;
  readonly phase: Phase;
  /** Tokens to compute again when it comes back. */
  readonly rebuildTokens: number;
  readonly pages: number;
  readonly heldSince: number;
}

/** A running sequence for whose next token there are no pages. */
export interface Starved<V> {
  readonly state: V;
  readonly grant: Extract<Grant, { kind: "exhausted" }>;
}

/**
 * Running sequences (oldest first) to preempt so that the starved ones will fit: those of the highest rank first,
 * of these the cheapest. Of those that can go on the oldest of the lowest rank keeps its pages: it ends one day,
 * and then the next is that one, so every sequence ends.
 * @throws {Error} when there is nothing to take: memory that nobody holds cannot be exhausted.
 */
export function chooseVictims<V extends Victim>(
  running: readonly V[],
  starved: readonly Starved<V>[],
  rank: (state: V) => number = () => 0,
): V[] {
  const able = running.filter((state) => state.phase !== "leaving" && state.phase !== "holding");
  const first = Math.min(...able.map(rank));
  const oldest = able.find((state) => rank(state) === first);
  const candidates = running.filter((state) => state.phase !== "leaving" && state !== oldest);
  const victims: V[] = [];
  let coming = 0;
  for (const state of running) if (state.phase === "leaving") coming += state.pages;
  let short = 0;
  for (const { grant } of starved) short += grant.neededPages;
  short -= Math.min(...starved.map(({ grant }) => grant.freePages));
  while (coming < short) {
    const victim = cheapest(
      lastRanked(candidates.filter((state) => !victims.includes(state)), rank),
    );
    if (!victim) break;
    victims.push(victim);
    coming += victim.pages;
    short -= starved.find(({ state }) => state === victim)?.grant.neededPages ?? 0;
  }
  if (coming > 0) return victims;
  throw new Error(`Cannot find pages: nobody else has any, received a need of ${short}`);
}

/**
 * A sequence that has had no credit since step `since` or longer, to make way for others; undefined
 * where there is none, or where pages are on their way back already.
 */
export function chooseHolder<V extends Victim>(
  running: readonly V[],
  since: number,
): V | undefined {
  if (running.some((state) => state.phase === "leaving")) return undefined;
  return cheapest(
    running.filter((state) => state.phase === "holding" && state.heldSince <= since),
  );
}

function lastRanked<V>(candidates: readonly V[], rank: (state: V) => number): readonly V[] {
  const last = Math.max(...candidates.map(rank));
  return candidates.filter((state) => rank(state) === last);
}

/** The cheapest to compute again, the newest among equals; undefined where there is none. */
function cheapest<V extends Victim>(candidates: readonly V[]): V | undefined {
  return candidates.reduce<V | undefined>((best, next) => {
    if (!best || next.rebuildTokens < best.rebuildTokens) return next;
    return next.rebuildTokens === best.rebuildTokens && next.arrival > best.arrival ? next : best;
  }, undefined);
}
