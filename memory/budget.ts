/** What is known of the device and wanted by the operator; bytes unless said otherwise. */
export interface BudgetRequest {
  readonly layers: number;
  readonly pageBytes: number;
  readonly pagesPerBlock: number;
  /** Memory of the card, null where the driver does not tell. */
  readonly deviceBytes: number | null;
  /** Weights, activations and everything else that is not a pool. */
  readonly usedBytes: number;
  /** Largest binding, which is also the largest slab. */
  readonly maxBindingBytes: number;
  /** The operator's bound on all layers' pools together; null: as much as there is. */
  readonly poolBytes: number | null;
  /** The operator's bound on the head pool; null: a share of the pool. */
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

/** Share of a card that stays free: drivers and compilers allocate too, and a full heap loses the device. */
const KEPT_FREE = 0.05;
/** Head pool as a share of the pool, where the operator does not say. */
const HEAD_SHARE = 1 / 16;
/** Pool where neither the card's memory nor a flag bounds it. */
const UNKNOWN_CARD_POOL = 2 ** 30;
const SLABS = 2;

/**
 * Sizes the pools: `(1 - KEPT_FREE) * deviceBytes - usedBytes` is theirs, at most two slabs a layer.
 * @throws {RangeError} when a pool cannot hold one KV block, or the flags ask for more than the card has.
 */
export function planBudget(request: BudgetRequest): PoolBudget {
  const { layers, pageBytes, pagesPerBlock, deviceBytes, usedBytes } = request;
  const available = deviceBytes === null
    ? Infinity
    : Math.floor(deviceBytes * (1 - KEPT_FREE)) - usedBytes;
  const poolBytes = request.poolBytes ?? defaultPool(available, request.headPoolBytes);
  const headBytes = request.headPoolBytes ?? Math.floor(poolBytes * HEAD_SHARE);
  const blockBytes = pagesPerBlock * pageBytes * layers;
  const slabPages = Math.floor(request.maxBindingBytes / pageBytes);
  if (slabPages * SLABS < pagesPerBlock) {
    throw new RangeError(
      `Cannot size the pool: a KV block of one layer takes ${pagesPerBlock * pageBytes} bytes ` +
        `and the device binds at most ${SLABS} slabs, received ${request.maxBindingBytes} bytes each`,
    );
  }
  if (poolBytes < blockBytes) {
    throw new RangeError(
      `Cannot size the pool: one KV block of ${layers} layers takes ${blockBytes} bytes, so it needs ` +
        `at least that` +
        (request.poolBytes === null ? ` beside the ${usedBytes} bytes of the model` : "") +
        `, received ${Math.max(0, poolBytes)}`,
    );
  }
  if (poolBytes + headBytes > available) {
    throw new RangeError(
      `Cannot size the pool: the card has ${Math.max(0, available)} bytes left for pools ` +
        `(of ${deviceBytes}, less ${usedBytes} in use and 5 % kept free), ` +
        `received ${poolBytes} and ${headBytes} for the head pool`,
    );
  }
  const size = (bytes: number): PoolSize => ({
    pages: Math.min(Math.floor(bytes / pageBytes), slabPages * SLABS),
    pageBytes,
    slabPages,
  });
  return { layer: size(Math.floor(poolBytes / layers)), head: size(headBytes) };
}

function defaultPool(available: number, headPoolBytes: number | null): number {
  if (available === Infinity) return UNKNOWN_CARD_POOL;
  return headPoolBytes === null
    ? Math.floor(available / (1 + HEAD_SHARE))
    : available - headPoolBytes;
}
