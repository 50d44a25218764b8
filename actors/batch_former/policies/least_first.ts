interface Ranked<T> {
  readonly item: T;
  value: number;
  readonly order: number;
}

/** Items by a value each, the least at hand (of equal ones that which came first): a heap, for its first only changes. */
export class LeastFirst<T> {
  readonly #heap: Ranked<T>[];

  constructor(items: Iterable<readonly [item: T, value: number]>) {
    this.#heap = Array.from(items, ([item, value], order) => ({ item, value, order }));
    for (let at = this.#heap.length >> 1; at >= 0; at--) this.#sink(at);
  }

  get first(): T | undefined {
    return this.#heap[0]?.item;
  }

  /** Adds to the first's value. */
  raise(by: number): void {
    const [first] = this.#heap;
    if (!first) return;
    first.value += by;
    this.#sink(0);
  }

  /** Takes the first away. */
  drop(): void {
    const last = this.#heap.pop();
    if (!last || this.#heap.length === 0) return;
    this.#heap[0] = last;
    this.#sink(0);
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const moved = heap[from];
    if (!moved) return;
    let at = from;
    while (true) {
      const [left, right] = [heap[2 * at + 1], heap[2 * at + 2]];
      const least = right && left && before(right, left) ? right : left;
      if (!least || !before(least, moved)) break;
      heap[at] = least;
      at = 2 * at + (least === left ? 1 : 2);
    }
    heap[at] = moved;
  }
}

const before = <T>(a: Ranked<T>, b: Ranked<T>): boolean =>
  a.value < b.value || (a.value === b.value && a.order < b.order);
