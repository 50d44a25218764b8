import type { Device } from "./device.ts";

interface Slot {
  readonly buffer: GPUBuffer;
  /** Settles when the GPU has copied from it, and it can be written again. */
  mapped: Promise<unknown>;
}

/**
 * The way of many bytes to the GPU: a few buffers that are mapped, written and copied from in turn. Dawn's writeBuffer
 * takes fresh memory for each large write, which the system clears first.
 */
export class UploadRing {
  readonly #device: Device;
  readonly #slots: readonly Slot[];
  readonly #slotBytes: number;
  #next = 0;

  /** `slots` buffers of `slotBytes` (a multiple of 4) each. */
  constructor(device: Device, slotBytes: number, slots: number) {
    this.#device = device;
    this.#slotBytes = slotBytes;
    const usage = GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC;
    this.#slots = Array.from({ length: slots }, (_, i) => ({
      buffer: device.gpu.createBuffer({
        label: `upload ${i}`,
        size: slotBytes,
        usage,
        mappedAtCreation: true,
      }),
      mapped: Promise.resolve(),
    }));
  }

  /** Enqueues the copy of `bytes` to `target` from `offset` on, both multiples of 4; `bytes` are free afterwards. */
  async write(target: GPUBuffer, offset: number, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += this.#slotBytes) {
      const piece = bytes.subarray(at, at + this.#slotBytes);
      const slot = this.#slots[this.#next % this.#slots.length];
      if (!slot) throw new RangeError("Cannot upload: the ring has no slots");
      this.#next++;
      await (this.#device.pace?.slowly(slot.mapped) ?? slot.mapped);
      new Uint8Array(slot.buffer.getMappedRange(0, piece.length)).set(piece);
      slot.buffer.unmap();
      const encoder = this.#device.gpu.createCommandEncoder();
      encoder.copyBufferToBuffer(slot.buffer, 0, target, offset + at, piece.length);
      this.#device.gpu.queue.submit([encoder.finish()]);
      slot.mapped = slot.buffer.mapAsync(GPUMapMode.WRITE);
      slot.mapped.catch(() => {}); // whoever writes next is told
    }
  }

  /** Waits until the GPU has copied everything, and gives the memory back. */
  async end(): Promise<void> {
    const all = Promise.all(this.#slots.map((slot) => slot.mapped));
    await (this.#device.pace?.slowly(all) ?? all);
    for (const { buffer } of this.#slots) buffer.destroy();
  }
}
