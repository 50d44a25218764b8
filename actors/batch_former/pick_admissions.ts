/** A sequence in the queue that could run if it were given pages: no adapter is awaited and it has credit. */
export interface Queued {
  /** Since when there has been no room for it; null: it was not asked for, or would fit. */
  readonly blockedSince: number | null;
  /** What it lacks is room in host memory, not pages. */
  readonly crowded?: boolean;
  /** What it lacks is pages of the head pool. */
  readonly headShort?: boolean;
  readonly ready: number;
  /** The draw in which it was last asked for again after it had not fitted; 0: never. */
  probedIn?: number;
}

export interface Admissible<Q> {
  readonly picks: readonly Q[];
  /** Those of them that come after one that bars the head pool: they are to use nothing there. */
  readonly headless: ReadonlySet<Q>;
}

interface Drawn<Q> {
  readonly queued: Q;
  /** Its place in the queue. */
  readonly at: number;
}

/** Draws from the queue whom to ask memory for. */
export class AdmissionPicker<Q extends Queued> {
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
    if (slots < 1 || tokens < 1) return { picks: [], headless: new Set() };
    const draw = ++this.#draws;
    const drawn: Drawn<Q>[] = [];
    // Apart, so that many who wait for host memory keep nobody from asking for pages.
    const [short, crowded] = [new Probes<Q>(), new Probes<Q>()];
    let at = 0;
    let headBarredAt = Infinity;
    for (const queued of queue) {
      at++;
      if (queued.blockedSince === null) {
        drawn.push({ queued, at });
        slots--;
        tokens -= queued.ready;
        if (slots < 1 || tokens < 1) break;
        continue;
      }
      if (at > headBarredAt && queued.headShort) continue;
      if (!bars(queued)) {
        (queued.crowded ? crowded : short).add({ queued, at });
        continue;
      }
      drawn.push({ queued, at });
      if (!queued.headShort) break;
      headBarredAt = at;
    }
    for (const probe of [...short.chosen(), ...crowded.chosen()]) {
      probe.queued.probedIn = draw;
      drawn.push(probe);
    }
    drawn.sort((a, b) => a.at - b.at);
    const headless = drawn.filter(({ at }) => at > headBarredAt).map(({ queued }) => queued);
    return { picks: drawn.map(({ queued }) => queued), headless: new Set(headless) };
  }
}

/** Of those that did not fit so many are asked for again: the first in the queue, */
const FIRST = 8;
/** and whoever was not asked for longest. Any number may wait, so each has its turn. */
const IN_TURN = 8;

/** Whom to ask for again, found in one pass over a queue of any length. */
class Probes<Q extends Queued> {
  readonly #first: Drawn<Q>[] = [];
  /** Asked for longest ago first; of equals who is further ahead. */
  readonly #inTurn: Drawn<Q>[] = [];

  add(drawn: Drawn<Q>): void {
    if (this.#first.length < FIRST) {
      this.#first.push(drawn);
      return;
    }
    const asked = ({ queued }: Drawn<Q>) => queued.probedIn ?? 0;
    let place = this.#inTurn.length;
    while (place > 0 && asked(this.#inTurn[place - 1] ?? drawn) > asked(drawn)) place--;
    if (place === IN_TURN) return;
    this.#inTurn.splice(place, 0, drawn);
    this.#inTurn.length = Math.min(this.#inTurn.length, IN_TURN);
  }

  chosen(): Drawn<Q>[] {
    return [...this.#first, ...this.#inTurn];
  }
}
