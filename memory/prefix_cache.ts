import { FifoSet } from "./fifo_set.ts";
import type { AdapterId, PageId, RequestId } from "./ids.ts";
import type { PagePool } from "./page_pool.ts";
import type { BlockGeometry } from "./page_table.ts";
import type { Prefix, Written } from "./prefix.ts";

/** A full KV block. Children are keyed by their tokens, all of them: no two texts can be taken for one. */
interface Block {
  readonly parent: Block | Space;
  readonly key: string;
  readonly pages: readonly PageId[];
  readonly children: Map<string, Block>;
  /** Open sequences whose block tables name these pages. */
  users: number;
  lastUsed: number;
}

interface Space {
  readonly name: string;
  readonly adapters: readonly AdapterId[];
  readonly children: Map<string, Block>;
  readers: number;
  /** One of its adapters is gone: nothing is found or kept here any more. */
  dropped: boolean;
}

interface Reader {
  readonly space: Space;
  /** From the first block on, those whose pages its block table names. */
  readonly path: Block[];
  /** Blocks after the first that another sequence had published before; they are looked at when it ends. */
  readonly late: string[];
}

/**
 * A tree of full KV blocks, whose pages sequences share. The cache holds one reference to each block's
 * pages, and a sequence one more to those in its block table.
 *
 * A block is written by one sequence alone and is complete before it gets here, so nothing is ever copied.
 * A sequence uses a path from the root, so the blocks that nobody uses are whole subtrees; `#idle` has them
 * least recently used first and, since a path is put there from its end to its root, children before parents.
 */
export class PrefixCache {
  readonly #pool: PagePool;
  readonly #geometry: BlockGeometry;
  readonly #spaces = new Map<string, Space>();
  readonly #readers = new Map<RequestId, Reader>();
  readonly #idle = new FifoSet<Block>();
  #shared = 0;

  constructor(pool: PagePool, geometry: BlockGeometry) {
    this.#pool = pool;
    this.#geometry = geometry;
  }

  /** Pages of blocks that no sequence uses: what eviction can give. */
  get idlePages(): number {
    return this.#idle.size * this.#geometry.pagesPerBlock;
  }

  /** By how much block tables together name more pages than there are, since they share some. */
  get sharedPages(): number {
    return this.#shared * this.#geometry.pagesPerBlock;
  }

  /** When the block that goes next was last used; null where there is none. */
  get oldest(): number | null {
    return this.#idle.first?.lastUsed ?? null;
  }

  /**
   * Opens a sequence and keeps the blocks it can begin with until it is closed; returns their pages. The
   * last token's block is never among them: its logits are needed.
   */
  open(request: RequestId, { space: name, adapters, tokens }: Prefix): PageId[] {
    if (this.#readers.has(request)) {
      throw new RangeError(`Cannot open sequence: it is open, received ${request}`);
    }
    const space = this.#spaces.get(name) ??
      { name, adapters, children: new Map(), readers: 0, dropped: false };
    this.#spaces.set(name, space);
    space.readers++;
    const path: Block[] = [];
    let at: Block | Space = space;
    for (const key of this.#keys(tokens.slice(0, -1))) {
      const block: Block | undefined = at.children.get(key);
      if (!block) break;
      this.#use(block);
      path.push(block);
      at = block;
    }
    this.#readers.set(request, { space, path, late: [] });
    return path.flatMap((block) => block.pages);
  }

  /**
   * Lets others share the next blocks of a sequence; `pages` is its block table. The steps that write them
   * must be on their way to the executor, which works in order. What does not follow on is left out.
   */
  publish(request: RequestId, written: Written, pages: readonly PageId[], tick: number): void {
    const { from, tokens } = written;
    const reader = this.#readers.get(request);
    if (!reader || reader.space.dropped) return;
    const { space, path, late } = reader;
    if (from !== (path.length + late.length) * this.#geometry.blockTokens) return;
    for (const key of this.#keys(tokens)) {
      const parent = path.at(-1) ?? space;
      if (late.length > 0 || parent.children.has(key)) {
        late.push(key);
        continue;
      }
      const block = this.#add(parent, key, pages, path.length, tick);
      this.#use(block);
      path.push(block);
    }
  }

  /** Ends a sequence's use of its blocks, which stay until room is needed; `pages` are still its own. */
  close(request: RequestId, pages: readonly PageId[], tick: number): void {
    const reader = this.#readers.get(request);
    if (!reader) return;
    this.#readers.delete(request);
    const { space, path, late } = reader;
    const trail = [...path];
    for (const key of space.dropped ? [] : late) {
      const parent = trail.at(-1) ?? space;
      const known = parent.children.get(key);
      trail.push(known ?? this.#add(parent, key, pages, trail.length, tick));
    }
    for (const [depth, block] of [...trail.entries()].reverse()) {
      block.lastUsed = tick;
      if (depth < path.length && --block.users > 0) this.#shared--;
      if (block.users > 0) continue;
      this.#idle.delete(block);
      this.#idle.add(block);
      if (space.dropped) this.#remove(block);
    }
    space.readers--;
    this.#tidy(space);
  }

  /** Frees the pages of the block that has lain unused longest. @throws {Error} where there is none. */
  evict(): void {
    const block = this.#idle.first;
    if (!block) throw new Error("Cannot evict: every block is in use");
    this.#remove(block);
  }

  /** Frees the blocks computed with an adapter: at once, or as soon as nobody uses them. */
  drop(adapter: AdapterId): void {
    for (const space of this.#spaces.values()) {
      if (!space.adapters.includes(adapter)) continue;
      this.#spaces.delete(space.name);
      space.dropped = true;
      for (const block of [...below(space)]) if (this.#idle.has(block)) this.#remove(block);
    }
  }

  /** The pages of each block, for integrity checks. */
  *owners(): Iterable<readonly PageId[]> {
    const spaces = new Set([
      ...this.#spaces.values(),
      ...this.#readers.values().map((r) => r.space),
    ]);
    for (const space of spaces) for (const block of below(space)) yield block.pages;
  }

  /** @throws {Error} where counts, order or places disagree; `tableOf` tells a sequence's block table. */
  checkIntegrity(tableOf: (request: RequestId) => readonly PageId[]): void {
    const check = (holds: boolean, what: string) => {
      if (!holds) throw new Error(`Cannot trust prefix cache: ${what}`);
    };
    const users = new Map<Block, number>();
    const readers = new Map<Space, number>([...this.#spaces.values()].map((space) => [space, 0]));
    for (const [request, { space, path }] of this.#readers) {
      readers.set(space, (readers.get(space) ?? 0) + 1);
      const table = tableOf(request);
      const pages = path.flatMap((block) => block.pages);
      check(pages.every((page, i) => table[i] === page), `${request} does not use its path`);
      path.forEach((block, i) => {
        check(block.parent === (path[i - 1] ?? space), `${request} has a path with a gap`);
        users.set(block, (users.get(block) ?? 0) + 1);
      });
    }
    const seen = new Set<Block>();
    const order = new Map([...this.#idle].map((block, i) => [block, i]));
    let shared = 0;
    for (const [space, count] of readers) {
      check(
        space.readers === count,
        `${space.name} has ${space.readers} readers, received ${count}`,
      );
      check(count > 0 || space.children.size > 0, `${space.name} is empty`);
      for (const block of below(space)) {
        seen.add(block);
        const used = users.get(block) ?? 0;
        shared += Math.max(0, used - 1);
        check(block.users === used, `a block counts ${block.users} users, received ${used}`);
        check(this.#idle.has(block) === (used === 0), "a block is idle and in use, or neither");
        const parent = "parent" in block.parent ? order.get(block.parent) : undefined;
        const first = parent === undefined || (order.get(block) ?? Infinity) < parent;
        check(first, "a block would be evicted before its children");
      }
    }
    check([...users.keys(), ...this.#idle].every((block) => seen.has(block)), "a block is lost");
    check(shared === this.#shared, `${this.#shared} blocks count as shared, received ${shared}`);
  }

  /** One key for each full block of `tokens`. */
  *#keys(tokens: readonly number[]): Iterable<string> {
    const { blockTokens } = this.#geometry;
    for (let end = blockTokens; end <= tokens.length; end += blockTokens) {
      yield tokens.slice(end - blockTokens, end).join();
    }
  }

  #add(
    parent: Block | Space,
    key: string,
    table: readonly PageId[],
    depth: number,
    tick: number,
  ): Block {
    const { pagesPerBlock } = this.#geometry;
    const pages = table.slice(depth * pagesPerBlock, (depth + 1) * pagesPerBlock);
    if (pages.length < pagesPerBlock) {
      throw new RangeError(`Cannot publish block ${depth}: its pages are not in the block table`);
    }
    this.#pool.retain(pages);
    const block = { parent, key, pages, children: new Map(), users: 0, lastUsed: tick };
    parent.children.set(key, block);
    return block;
  }

  #use(block: Block): void {
    if (block.users++ > 0) this.#shared++;
    else this.#idle.delete(block);
  }

  #remove(block: Block): void {
    this.#idle.delete(block);
    block.parent.children.delete(block.key);
    this.#pool.release(block.pages);
    if ("name" in block.parent) this.#tidy(block.parent);
  }

  #tidy(space: Space): void {
    const empty = space.readers === 0 && space.children.size === 0;
    if (empty && this.#spaces.get(space.name) === space) this.#spaces.delete(space.name);
  }
}

function* below(space: Space): Iterable<Block> {
  const open = [...space.children.values()];
  for (let block = open.pop(); block; block = open.pop()) {
    yield block;
    open.push(...block.children.values());
  }
}
