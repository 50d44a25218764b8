import type { Device } from "./device.ts";

/**
 * Copies GPU buffers to the host. Deno's built-in WebGPU resolves `mapAsync` 10 ms late, but has already
 * waited for the GPU when the call returns, so its range can be read at once; that blocks this thread until
 * all submitted work is done. Where that does not hold (Dawn), the specified way is taken: await the map.
 */
export class Readback {
  readonly #device: Device;
  readonly #staging: GPUBuffer;
  readonly #eager: boolean;

  private constructor(device: Device, staging: GPUBuffer, eager: boolean) {
    this.#device = device;
    this.#staging = staging;
    this.#eager = eager;
  }

  /** A readback of at most `bytes` at a time; `eager` defaults to what the provider allows. */
  static async create(
    device: Device,
    bytes: number,
    eager = device.provider === "builtin",
  ): Promise<Readback> {
    const staging = device.gpu.createBuffer({
      label: "readback",
      size: bytes,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    // Reading eagerly from a buffer that was never mapped the slow way ends the process (a Rust panic).
    await staging.mapAsync(GPUMapMode.READ);
    staging.unmap();
    return new Readback(device, staging, eager);
  }

  /** Appends the copy of the first `bytes` of `source` to `encoder`; `read` follows after the submit. */
  copy(encoder: GPUCommandEncoder, source: GPUBuffer, bytes: number, sourceOffset = 0): void {
    encoder.copyBufferToBuffer(source, sourceOffset, this.#staging, 0, bytes);
  }

  /** The bytes copied by the last submitted `copy`. */
  async read(bytes: number): Promise<ArrayBuffer> {
    const mapped = this.#staging.mapAsync(GPUMapMode.READ, 0, bytes);
    if (this.#eager) {
      mapped.catch(() => {});
      try {
        return this.#take(bytes);
      } catch {
        // Not mapped yet after all: the specified way below.
      }
    }
    this.#device.pace?.begin();
    await mapped;
    this.#device.pace?.end();
    return this.#take(bytes);
  }

  #take(bytes: number): ArrayBuffer {
    const copy = this.#staging.getMappedRange(0, bytes).slice(0);
    this.#staging.unmap();
    return copy;
  }

  /** One submit and one read, for tests and start-up; not for the step loop. */
  async once(source: GPUBuffer, bytes: number, sourceOffset = 0): Promise<ArrayBuffer> {
    const encoder = this.#device.gpu.createCommandEncoder();
    this.copy(encoder, source, bytes, sourceOffset);
    this.#device.gpu.queue.submit([encoder.finish()]);
    return await this.read(bytes);
  }
}
