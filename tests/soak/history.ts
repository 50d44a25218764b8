/** What a name stood for: a golden variant, or null where there was no such adapter. */
export type Version = string | null;

/** Every version that a name had, and which of them a request may still be answered from. */
export class History {
  readonly #versions: Version[];
  /** The last version whose change the server has confirmed. */
  #settled = 0;
  #changing = false;

  constructor(first: Version) {
    this.#versions = [first];
  }

  get changing(): boolean {
    return this.#changing;
  }

  get latest(): Version {
    return this.#versions.at(-1) ?? null;
  }

  /** The oldest version that a request sent now may meet. */
  get since(): number {
    return this.#settled;
  }

  /** What a request sent at `since` may have met until now. */
  met(since: number): Version[] {
    return this.#versions.slice(since);
  }

  /** Makes `version` the latest, for all requests sent after `change` has ended. */
  async change(version: Version, change: () => Promise<void>): Promise<void> {
    this.#versions.push(version);
    this.#changing = true;
    await change();
    this.#settled = this.#versions.length - 1;
    this.#changing = false;
  }
}
