/** A sequence in the queue that could run if it were given pages: no adapter is awaited and it has credit. */
export interface Queued {
  /** Since when there has been no room for it; null: it was not asked for, or would fit. */
  readonly blockedSince: number | null;
  /** What it lacks is room in host memory, not pages. */
  readonly crowded?: boolean;
  /** What it lacks is pages of the head pool. */
  readonly headShort?: boolean;
  readonly ready: number;
}

export interface Admissible<Q> {
  readonly picks: readonly Q[];
  /** Those of them that come after one that bars the head pool: they are to use nothing there. */
  readonly headless: ReadonlySet<Q>;
}

/** Sequences that did not fit and are asked for again with a plan. */
const PROBES = 16;

/**
 * Which queued sequences to ask memory for, in the order of `queue`. Those that did not fit last time are asked
 * for beside the others, so that nobody waits behind them but where they bar the way.
 */
export function pickAdmissions<Q extends Queued>(
  queue: Iterable<Q>,
  room: { readonly slots: number; readonly tokens: number },
  bars: (queued: Q) => boolean,
): Admissible<Q> {
  let { slots, tokens } = room;
  let [probes, crowdedProbes] = [PROBES, PROBES];
  const picks: Q[] = [];
  const headless = new Set<Q>();
  let headBarred = false;
  if (slots < 1 || tokens < 1) return { picks, headless };
  for (const queued of queue) {
    if (headBarred && queued.blockedSince !== null && queued.headShort) continue;
    if (headBarred) headless.add(queued);
    if (queued.blockedSince === null) {
      picks.push(queued);
      slots--;
      tokens -= queued.ready;
      if (slots < 1 || tokens < 1) break;
    } else {
      // Apart, so that many who wait for host memory keep nobody from asking for pages.
      if ((queued.crowded ? crowdedProbes-- : probes--) > 0) picks.push(queued);
      if (!bars(queued)) continue;
      if (!queued.headShort) break;
      headBarred = true;
    }
  }
  return { picks, headless };
}
