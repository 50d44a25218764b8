import type { Device } from "./device.ts";
import type { Fill, Uploads } from "./uploads.ts";

interface Slot {
  readonly buffer: GPUBuffer;
  /** Settles when the GPU has copied from it, and it can be written again. */
  mapped: Promise<unknown>;
  free: boolean;
}

/**
 * A few buffers that are mapped, written and copied from in turn. Dawn's writeBuffer takes fresh memory for each large
 * write, which the system clears first, and what is written there lay somewhere else before.
 */
export class UploadRing implements Uploads {
  readonly #device: Device;
  readonly #slots: readonly Slot[];
  #next = 0;

  /** `slots` buffers of `slotBytes` (a multiple of 4) each. */
  constructor(device: Device, slotBytes: number, slots: number) {
    this.#device = device;
    const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
    this.#slots = Array.from({ length: slots }, (_, i) => ({
      buffer: device.gpu.createBuffer({
        label: `upload ${i}`,
        size: slotBytes,
        usage,
        mappedAtCreation: true,
      }),
      mapped: Promise.resolve(),
      free: true,
    }));
  }

  /** The next write waits for nothing. */
  get ready(): boolean {
    return this.#slots[this.#next % this.#slots.length]?.free ?? false;
  }

  async write(target: GPUBuffer, offset: number, bytes: number, fill: Fill): Promise<void> {
    const slot = this.#slots[this.#next++ % this.#slots.length];
    if (!slot) throw new RangeError("Cannot upload: the ring must have slots, received none");
    await (this.#device.pace?.slowly(slot.mapped) ?? slot.mapped);
    fill(new Uint8Array(slot.buffer.getMappedRange(0, bytes)));
    slot.buffer.unmap();
    const encoder = this.#device.gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(slot.buffer, 0, target, offset, bytes);
    this.#device.gpu.queue.submit([encoder.finish()]);
    slot.free = false;
    // Free before whoever waits for it goes on: what they then say must be the last word.
    slot.mapped = slot.buffer.mapAsync(GPUMapMode.WRITE).then(() => slot.free = true);
    slot.mapped.catch(() => {}); // a failure is for whoever writes next
  }

  async end(): Promise<void> {
    const all = Promise.all(this.#slots.map((slot) => slot.mapped));
    await (this.#device.pace?.slowly(all) ?? all);
    for (const { buffer } of this.#slots) buffer.destroy();
  }
}
