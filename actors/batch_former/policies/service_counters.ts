/** Service by client, of which those that are gone and have nothing to answer for are forgotten. */
export class ServiceCounters {
  /** Whose job was admitted last. */
  last: string | null = null;
  readonly #served = new Map<string, number>();
  /** What the forgotten had at most: they would be lifted beyond it if they came back. */
  #forgotten = 0;
  #sweepAt = FEWEST;

  /** Clients that are remembered. */
  get size(): number {
    return this.#served.size;
  }

  get(client: string): number {
    return this.#served.get(client) ?? this.#forgotten;
  }

  add(client: string, cost: number): void {
    this.#served.set(client, this.get(client) + cost);
  }

  /** To the least of `waiting`, or to the last served where nobody waits. */
  lift(client: string, waiting: ReadonlySet<string>): void {
    const floor = waiting.size > 0
      ? waiting.values().reduce((least, other) => Math.min(least, this.get(other)), Infinity)
      : this.last === null
      ? 0
      : this.get(this.last);
    this.#served.set(client, Math.max(this.get(client), floor));
    if (this.#served.size > this.#sweepAt) this.#forget(floor);
  }

  #forget(floor: number): void {
    for (const [client, served] of this.#served) if (served <= floor) this.#served.delete(client);
    this.#forgotten = Math.max(this.#forgotten, floor);
    this.#sweepAt = Math.max(FEWEST, 2 * this.#served.size);
  }
}

/** Not worth a sweep below this. */
const FEWEST = 256;
