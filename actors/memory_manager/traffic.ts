import type { Residency } from "./protocol.ts";

type Counted =
  | "diskLoads"
  | "failedLoads"
  | "prefetches"
  | "uploads"
  | "uploadBytes"
  | "uploadSeconds";

/** Counts what happens to adapters. */
export class Traffic {
  readonly #counts: Record<Counted, number> = {
    diskLoads: 0,
    failedLoads: 0,
    prefetches: 0,
    uploads: 0,
    uploadBytes: 0,
    uploadSeconds: 0,
  };
  #last: Residency | null = null;

  count(what: Counted, by = 1): void {
    this.#counts[what] += by;
  }

  /** The counts with what memory itself knows; the same object as last time where nothing changed. */
  with(rest: Omit<Residency, Counted>): Residency {
    const now: Residency = { ...rest, ...this.#counts };
    const last = this.#last;
    const keys = Object.keys(now) as (keyof Residency)[];
    if (last && keys.every((key) => now[key] === last[key])) return last;
    return this.#last = now;
  }
}
