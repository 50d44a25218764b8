/** A set whose first item is at hand: a new iterator would have to pass all that was deleted before it each time. */
export class FifoSet<T> implements Iterable<T> {
  readonly #items = new Set<T>();
  /** Stands behind `#first`; before it there is nothing. */
  #rest: Iterator<T> | null = null;
  #first: T | undefined;

  get size(): number {
    return this.#items.size;
  }

  has(item: T): boolean {
    return this.#items.has(item);
  }

  /** Adds to the end; what is there already stays where it is. */
  add(item: T): void {
    this.#items.add(item);
  }

  delete(item: T): void {
    this.#items.delete(item);
    if (this.#first === item) this.#first = undefined;
  }

  /** Of all that are here the one that was added first; undefined where there is none. */
  get first(): T | undefined {
    if (this.#first !== undefined || this.#items.size === 0) return this.#first;
    this.#rest ??= this.#items.values();
    const { value, done } = this.#rest.next();
    if (!done) return this.#first = value;
    this.#rest = null; // it was at the end before the last were added
    return this.first;
  }

  [Symbol.iterator](): Iterator<T> {
    return this.#items.values();
  }
}
