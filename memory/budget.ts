/** What is known of the device and wanted by the operator; bytes unless said otherwise. */
export interface BudgetRequest {
  readonly layers: number;
  readonly pageBytes: number;
  readonly pagesPerBlock: number;
  /** Largest binding, which is also the largest slab. */
  readonly maxBindingBytes: number;
  /** All layers' pools together. */
  readonly poolBytes: number;
  /** The head pool; null: a share of the pool. */
  readonly headPoolBytes: number | null;
}

/** Pages of one layer's pool, or of the head pool; pages from `slabPages` on lie in a second slab. */
export interface PoolSize {
  readonly pages: number;
  readonly pageBytes: number;
  readonly slabPages: number;
}

export interface PoolBudget {
  /** Each layer has a pool of this size. */
  readonly layer: PoolSize;
  readonly head: PoolSize;
}

/** Head pool as a share of the pool, where the operator does not say. */
const HEAD_SHARE = 1 / 16;
const SLABS = 2;

/**
 * Sizes the pools, at most two slabs a layer. What a card has is not known here, for WebGPU does not tell.
 * @throws {RangeError} when a pool cannot hold one KV block.
 */
export function planBudget(request: BudgetRequest): PoolBudget {
  const { layers, pageBytes, pagesPerBlock, maxBindingBytes, poolBytes } = request;
  const slabPages = Math.floor(maxBindingBytes / pageBytes);
  if (slabPages * SLABS < pagesPerBlock) {
    throw new RangeError(
      `Cannot size the pool: a KV block of one layer takes ${pagesPerBlock * pageBytes} bytes ` +
        `and the device binds at most ${SLABS} slabs, received ${maxBindingBytes} bytes each`,
    );
  }
  const blockBytes = pagesPerBlock * pageBytes * layers;
  if (poolBytes < blockBytes) {
    throw new RangeError(
      `Cannot size the pool: expected at least the ${blockBytes} bytes ` +
        `of one KV block of ${layers} layers, received ${poolBytes}`,
    );
  }
  const size = (bytes: number): PoolSize => ({
    pages: Math.min(Math.floor(bytes / pageBytes), slabPages * SLABS),
    pageBytes,
    slabPages,
  });
  return {
    layer: size(Math.floor(poolBytes / layers)),
    head: size(request.headPoolBytes ?? Math.floor(poolBytes * HEAD_SHARE)),
  };
}
