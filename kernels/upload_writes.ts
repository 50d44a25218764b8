import type { Device } from "./device.ts";
import { Readback } from "./readback.ts";
import type { Fill, Uploads } from "./uploads.ts";

/** Writes wait in the driver's staging memory until they are submitted and done: so many may. */
const DRAIN_BYTES = 128 * 2 ** 20;

/** One write of the queue after another: the built-in provider copies what it maps to JavaScript's memory and back. */
export class UploadWrites implements Uploads {
  readonly #queue: GPUQueue;
  readonly #readback: Readback;
  readonly #memory: Uint8Array<ArrayBuffer>;
  #waiting = 0;
  #last: GPUBuffer | null = null;

  private constructor(queue: GPUQueue, readback: Readback, bytes: number) {
    this.#queue = queue;
    this.#readback = readback;
    this.#memory = new Uint8Array(bytes);
  }

  /** Of at most `bytes` each, to buffers of 16 bytes at least that can be copied from. */
  static async create(device: Device, bytes: number): Promise<UploadWrites> {
    return new UploadWrites(device.gpu.queue, await Readback.create(device, 16), bytes);
  }

  async write(target: GPUBuffer, offset: number, bytes: number, fill: Fill): Promise<void> {
    const memory = this.#memory.subarray(0, bytes);
    fill(memory);
    this.#queue.writeBuffer(target, offset, memory);
    // The GPU copies this while the host reads on.
    this.#queue.submit([]);
    this.#last = target;
    this.#waiting += bytes;
    if (this.#waiting >= DRAIN_BYTES) await this.end();
  }

  async end(): Promise<void> {
    if (this.#last) await this.#readback.once(this.#last, 16);
    this.#waiting = 0;
  }
}
