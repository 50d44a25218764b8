/** A step's tables as a kernel finds them: an independent reading of kernels/shared/step.wgsl. */
export interface SeenStep {
  readonly tokens: readonly SeenToken[];
  readonly decodeItems: readonly { token: number; alone: boolean; first: number; end: number }[];
  readonly decodeRows: readonly { token: number; first: number; count: number }[];
  readonly prefillTiles: readonly { first: number; count: number }[];
  readonly logits: readonly { token: number; sample: readonly number[]; bias: readonly number[] }[];
  /** By module. */
  readonly shrink: readonly (readonly SeenShrink[])[];
  readonly headShrink: readonly SeenShrink[];
}

export interface SeenToken {
  readonly source: number;
  readonly position: number;
  /** Word of the block table. */
  readonly table: number;
  /** [image, weight bits] of each of the K entries. */
  readonly routes: readonly (readonly [number, number])[];
  readonly headRoutes: readonly (readonly [number, number])[];
}

export interface SeenShrink {
  readonly image: number;
  readonly module: number;
  readonly group: number;
  /** [row, k] of each routed token. */
  readonly entries: readonly (readonly [row: number, k: number])[];
}

/** What kernels see of a step; the numbers of items are not in its words but in what is dispatched. */
export function readStep(
  step: Uint32Array,
  dispatched: { decodeItems: number; decodeRows: number; prefillTiles: number },
): SeenStep {
  const word = (at: number): number => {
    const value = step[at];
    if (value === undefined) throw new RangeError(`the step has no word ${at}`);
    return value;
  };
  const list = <T>(count: number, at: (i: number) => T): T[] =>
    Array.from({ length: count }, (_, i) => at(i));
  const [T, K, R] = [word(0), word(1), word(2)];
  const routes = (base: number, t: number) =>
    list(K, (k) => [word(base + (t * K + k) * 2), word(base + (t * K + k) * 2 + 1)] as const);
  const shrink = (items: number, count: number, entries: number): SeenShrink[] =>
    list(count, (i) => {
      const field = (f: number) => word(items + i * 4 + f);
      const entry = (n: number) => word(entries + field(1) + n);
      return {
        image: field(0),
        module: field(3) >>> 4,
        group: field(3) & 15,
        entries: list(field(2), (n) => [entry(n) >>> 4, entry(n) & 15] as const),
      };
    });
  return {
    tokens: list(T, (t) => ({
      source: word(word(3) + t * 4),
      position: word(word(3) + t * 4 + 1),
      table: word(word(3) + t * 4 + 2),
      routes: routes(word(4), t),
      headRoutes: routes(word(5), t),
    })),
    decodeItems: list(dispatched.decodeItems, (i) => ({
      token: word(word(6) + i * 4) % 2 ** 31,
      alone: word(word(6) + i * 4) >= 2 ** 31,
      first: word(word(6) + i * 4 + 1),
      end: word(word(6) + i * 4 + 2),
    })),
    decodeRows: list(dispatched.decodeRows, (i) => ({
      token: word(word(7) + i * 4),
      first: word(word(7) + i * 4 + 1),
      count: word(word(7) + i * 4 + 2),
    })),
    prefillTiles: list(dispatched.prefillTiles, (i) => ({
      first: word(word(8) + i * 2),
      count: word(word(8) + i * 2 + 1),
    })),
    logits: list(R, (r) => {
      const sample = list(16, (field) => word(word(10) + r * 16 + field));
      const [at = 0, count = 0] = sample.slice(11, 13);
      return {
        token: word(word(9) + r),
        sample,
        bias: list(count * 2, (i) => word(at + i)),
      };
    }),
    // Words 20 to 27: the first item of each module, and behind the last one's.
    shrink: list(7, (module) => {
      const [first, end] = [word(20 + module), word(21 + module)];
      return shrink(word(11) + first * 4, end - first, word(12));
    }),
    headShrink: shrink(word(13), word(14), word(15)),
  };
}
