/** What was drawn of a source so far, which is drawn no further than asked for, and once. */
export class Drawn<T> implements Iterable<T> {
  readonly #source: Iterator<T>;
  readonly #known: T[] = [];

  constructor(source: Iterable<T>) {
    this.#source = source[Symbol.iterator]();
  }

  *[Symbol.iterator](): Iterator<T> {
    for (let i = 0;; i++) {
      if (i === this.#known.length) {
        const next = this.#source.next();
        if (next.done) return;
        this.#known.push(next.value);
      }
      const value = this.#known[i];
      if (value !== undefined) yield value;
    }
  }
}
