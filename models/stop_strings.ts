/** What a push lets out. Once `stopped`, the text before the stop string is complete. */
export interface StopResult {
  readonly text: string;
  readonly stopped: boolean;
  /** The stop string that ended the text; the longest where several end at the same place. */
  readonly matched?: string;
}

/**
 * Finds the stop string that ends first in text that comes in pieces, however it is cut, and holds
 * back no more than what may still become one. Linear in the text (Knuth-Morris-Pratt per string).
 */
export class StopStrings {
  readonly #matchers: readonly Matcher[];
  #held = "";
  #result: StopResult | null = null;

  /** Throws a RangeError for an empty or ill-formed stop string. */
  constructor(stops: readonly string[]) {
    for (const [i, stop] of stops.entries()) {
      if (stop === "" || !stop.isWellFormed()) {
        throw new RangeError(
          `Cannot watch for stop strings: expected stop[${i}] to be non-empty well-formed text, received ${
            JSON.stringify(stop)
          }`,
        );
      }
    }
    // Longest first, so that the first to match at a place is the one to name.
    this.#matchers = stops.toSorted((a, b) => b.length - a.length).map((stop) => new Matcher(stop));
  }

  /** Takes the next piece of text and gives what can no longer become part of a stop string. */
  push(text: string): StopResult {
    if (this.#result) return this.#result;
    const pending = this.#held + text;
    for (let i = this.#held.length; i < pending.length; i++) {
      const unit = pending.charCodeAt(i);
      let found: Matcher | undefined;
      for (const matcher of this.#matchers) {
        if (matcher.step(unit)) found ??= matcher;
      }
      if (found) {
        const matched = found.stop;
        this.#held = "";
        this.#result = { text: "", stopped: true, matched };
        return { text: pending.slice(0, i + 1 - matched.length), stopped: true, matched };
      }
    }
    const keep = Math.max(0, ...this.#matchers.map((matcher) => matcher.matched));
    this.#held = pending.slice(pending.length - keep);
    return { text: pending.slice(0, pending.length - keep), stopped: false };
  }

  /** The text held back, when no more will come; empty after a stop. */
  flush(): string {
    const held = this.#held;
    this.#held = "";
    for (const matcher of this.#matchers) matcher.matched = 0;
    return held;
  }
}

class Matcher {
  /** Length of the longest prefix of `stop` that ends the text so far. */
  matched = 0;
  /** For each length, the longest shorter prefix that is also its suffix. */
  readonly #fallback: Uint32Array;

  constructor(readonly stop: string) {
    this.#fallback = new Uint32Array(stop.length + 1);
    for (let length = 2, border = 0; length <= stop.length; length++) {
      border = this.#extend(border, stop.charCodeAt(length - 1));
      this.#fallback[length] = border;
    }
  }

  /** Whether the stop string ends with this UTF-16 unit. */
  step(unit: number): boolean {
    this.matched = this.#extend(this.matched, unit);
    return this.matched === this.stop.length;
  }

  #extend(matched: number, unit: number): number {
    while (matched > 0 && this.stop.charCodeAt(matched) !== unit) {
      matched = this.#fallback[matched] ?? 0;
    }
    return this.stop.charCodeAt(matched) === unit ? matched + 1 : 0;
  }
}
