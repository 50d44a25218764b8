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

/** Sequences that did not fit and are asked for again with a plan; those that lack host memory are counted apart. */
const PROBES = 16;
/** So many of them are the first in the queue, the others whoever was not asked for longest. */
const FIRST = 8;

/** Draws from the queue whom to ask memory for. */
export class AdmissionPicker<Q extends Queued> {
  /** When those that did not fit were last asked for again, in draws. */
  readonly #probed = new WeakMap<Q, number>();
  #draws = 0;

  /**
   * Which queued sequences to ask memory for, in the order of `queue`. Those that did not fit last time are asked
   * for beside the others, so that nobody waits behind them but where they bar the way.
   */
  pick(
    queue: Iterable<Q>,
    room: { readonly slots: number; readonly tokens: number },
    bars: (queued: Q) => boolean,
  ): Admissible<Q> {
    let { slots, tokens } = room;
    const drawn: Q[] = [];
    const blocked: Q[] = [];
    const barring = new Set<Q>();
    const headless = new Set<Q>();
    let headBarred = false;
    if (slots < 1 || tokens < 1) return { picks: drawn, headless };
    for (const queued of queue) {
      const free = queued.blockedSince === null;
      if (headBarred && !free && queued.headShort) continue;
      if (headBarred) headless.add(queued);
      drawn.push(queued);
      if (free) {
        slots--;
        tokens -= queued.ready;
        if (slots < 1 || tokens < 1) break;
      } else {
        blocked.push(queued);
        if (!bars(queued)) continue;
        barring.add(queued);
        if (!queued.headShort) break;
        headBarred = true;
      }
    }
    // Apart, so that many who wait for host memory keep nobody from asking for pages.
    const probes = new Set([
      ...barring,
      ...this.#probes(blocked.filter(({ crowded }) => crowded)),
      ...this.#probes(blocked.filter(({ crowded }) => !crowded)),
    ]);
    const picks = drawn.filter((queued) => queued.blockedSince === null || probes.has(queued));
    return { picks, headless };
  }

  /** Any number may be blocked: each has its turn. */
  #probes(blocked: readonly Q[]): Q[] {
    const draw = ++this.#draws;
    const asked = (queued: Q) => this.#probed.get(queued) ?? 0;
    const rest = blocked.slice(FIRST).sort((a, b) => asked(a) - asked(b));
    const probes = [...blocked.slice(0, FIRST), ...rest.slice(0, PROBES - FIRST)];
    for (const queued of probes) this.#probed.set(queued, draw);
    return probes;
  }
}
