/** Writes all of `memory`, from its first byte to its last, and does not read it: it may be slow to read. */
export type Fill = (memory: Uint8Array<ArrayBuffer>) => void;

/** A way of many bytes to the GPU, in the order of the queue, that bounds what is under way. */
export interface Uploads {
  /**
   * Enqueues the copy of what `fill` writes to `target`, from `offset` on; `offset` and `bytes` are multiples of 4, and
   * `bytes` at most what it was made for.
   */
  write(target: GPUBuffer, offset: number, bytes: number, fill: Fill): Promise<void>;
  /** Waits until the GPU has copied everything, and gives the memory back. */
  end(): Promise<void>;
}
