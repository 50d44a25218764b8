import type { Device } from "./device.ts";

/**
 * Copies GPU buffers to the host. Deno's built-in WebGPU resolves `mapAsync` 10 ms late, but has already
 * waited for the GPU when the call returns, so its range can be read at once; that blocks this thread until
 * all submitted work is done. Where that does not hold (Dawn), the specified way is taken: await the map, while
 * work submitted later runs.
 */
export class Readback {
  readonly #device: Device;
  /** Free ones, and those copied to, in order. */
  readonly #free: GPUBuffer[];
  readonly #copied: GPUBuffer[] = [];
  readonly #eager: boolean;

  private constructor(device: Device, staging: GPUBuffer[], eager: boolean) {
    this.#device = device;
    this.#free = staging;
    this.#eager = eager;
  }

  /** A read waits for its own work alone: more may be submitted before. */
  get overlaps(): boolean {
    return !this.#eager;
  }

  /** A readback of at most `bytes` at a time, two of them under way; `eager` defaults to what the provider allows. */
  static async create(
    device: Device,
    bytes: number,
    eager = device.provider === "builtin",
  ): Promise<Readback> {
    const staging: GPUBuffer[] = [];
    for (const label of ["readback 0", "readback 1"]) {
      const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
      const buffer = device.gpu.createBuffer({ label, size: bytes, usage });
      // Reading eagerly from a buffer that was never mapped the slow way ends the process (a Rust panic).
      await buffer.mapAsync(GPUMapMode.READ);
      buffer.unmap();
      staging.push(buffer);
    }
    return new Readback(device, staging, eager);
  }

  /**
   * Appends the copy of the first `bytes` of `source` to `encoder`; `read` follows after the submit.
   * @throws {RangeError} where two copies wait to be read.
   */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, bytes: number, sourceOffset = 0): void {
    const staging = this.#free[0];
    if (!staging) throw new RangeError("Cannot copy: two copies wait to be read, received a third");
    encoder.copyBufferToBuffer(source, sourceOffset, staging, 0, bytes);
    this.#free.shift();
    this.#copied.push(staging);
  }

  /** The bytes of the oldest `copy` that was submitted and not read. */
  async read(bytes: number): Promise<ArrayBuffer> {
    const staging = this.#copied.shift();
    if (!staging) throw new RangeError(`Cannot read: nothing was copied, received ${bytes} bytes`);
    try {
      const mapped = staging.mapAsync(GPUMapMode.READ, 0, bytes);
      if (this.#eager) {
        mapped.catch(() => {});
        try {
          return take(staging, bytes);
        } catch {
          // Not mapped yet after all: the specified way below.
        }
      }
      this.#device.pace?.begin();
      await mapped;
      this.#device.pace?.end();
      return take(staging, bytes);
    } finally {
      this.#free.push(staging);
    }
  }

  /** One submit and one read, for tests and start-up; not for the step loop. */
  async once(source: GPUBuffer, bytes: number, sourceOffset = 0): Promise<ArrayBuffer> {
    const encoder = this.#device.gpu.createCommandEncoder();
    this.copy(encoder, source, bytes, sourceOffset);
    this.#device.gpu.queue.submit([encoder.finish()]);
    return await this.read(bytes);
  }
}

function take(staging: GPUBuffer, bytes: number): ArrayBuffer {
  const copy = staging.getMappedRange(0, bytes).slice(0);
  staging.unmap();
  return copy;
}
