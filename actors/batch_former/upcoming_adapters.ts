import type { AdapterId } from "../../memory/ids.ts";
import type { AdapterRoute } from "../sampling.ts";

interface Queued {
  readonly adapters: readonly AdapterRoute[];
}

/** Sequences of the queue that are looked at, and adapters that are named: memory can bring few at once anyway. */
const SEQUENCES = 64;
const ADAPTERS = 16;

/** Adapters of queued sequences that are not asked for now, in the order of the queue, each once. */
export function upcomingAdapters<Q extends Queued>(
  queue: Iterable<Q>,
  asked: readonly Q[],
): AdapterId[] {
  const now = new Set(asked);
  const named = new Set<AdapterId>();
  let seen = 0;
  for (const queued of queue) {
    if (++seen > SEQUENCES) break;
    if (now.has(queued)) continue;
    for (const { adapter } of queued.adapters) {
      if (named.size < ADAPTERS) named.add(adapter);
    }
  }
  return [...named];
}
