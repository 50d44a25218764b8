/** Tokens of an item, which read its rows of A once. */
export const SHRINK_TOKENS = 4;
/** Rank rows of an item. */
export const SHRINK_RANKS = 16;

/** Tables of LoRA's down projections in one step (kernels/shared/shrink_items.wgsl). */
export interface ShrinkTables {
  /** [modules][items][4]: image, its first entry, entries, group of rank rows + 16 * module. */
  readonly items: readonly (readonly number[])[];
  /** Tokens: 16 * row + route. */
  readonly entries: readonly number[];
}

/**
 * Shares out LoRA's down projections: tokens by image, SHRINK_TOKENS at a time, and of each module SHRINK_RANKS rank
 * rows at a time. What a module of an adapter does not have costs nothing, whatever others beside it have.
 */
export class ShrinkWork {
  readonly #images = new Map<number, { ranks: readonly number[]; tokens: number[] }>();

  /** A token's k-th route is to the image that begins at page `image`, if any; `ranks` by module. */
  add(image: number | null, ranks: readonly number[], row: number, k: number): void {
    if (image === null || ranks.every((rank) => rank === 0)) return;
    const known = this.#images.get(image) ?? { ranks, tokens: [] };
    known.tokens.push(row * 16 + k);
    this.#images.set(image, known);
  }

  tables(modules: number): ShrinkTables {
    const items: number[][] = Array.from({ length: modules }, () => []);
    const entries: number[] = [];
    for (const [image, { ranks, tokens }] of this.#images) {
      for (let i = 0; i < tokens.length; i += SHRINK_TOKENS) {
        const count = Math.min(SHRINK_TOKENS, tokens.length - i);
        items.forEach((of, module) => {
          for (let group = 0; group * SHRINK_RANKS < (ranks[module] ?? 0); group++) {
            of.push(image, entries.length, count, group + 16 * module);
          }
        });
        for (let j = i; j < i + count; j++) entries.push(tokens[j] ?? 0);
      }
    }
    return { items, entries };
  }
}
