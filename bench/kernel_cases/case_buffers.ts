import type { Device } from "../../kernels/device.ts";
import { Readback } from "../../kernels/readback.ts";
import { type RandomMatrix, randomMatrix } from "../support/random_matrix.ts";

/** Buffers of one case, which go together. */
export class CaseBuffers implements Disposable {
  readonly #device: Device;
  readonly #all: GPUBuffer[] = [];

  constructor(device: Device) {
    this.#device = device;
  }

  /** Zeros. */
  empty(bytes: number): GPUBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    const buffer = this.#device.gpu.createBuffer({ size: Math.max(16, bytes), usage });
    this.#all.push(buffer);
    return buffer;
  }

  words(words: Uint32Array<ArrayBuffer>): GPUBuffer {
    const buffer = this.empty(words.byteLength);
    this.#device.gpu.queue.writeBuffer(buffer, 0, words);
    return buffer;
  }

  random(count: number, type: "f16" | "f32"): RandomMatrix {
    const matrix = randomMatrix(this.#device.gpu, count, type);
    this.#all.push(matrix.buffer);
    return matrix;
  }

  /** Runs `encode` once and reads numbers of `buffer` back. */
  async results(
    encode: (pass: GPUComputePassEncoder) => void,
    buffer: GPUBuffer,
  ): Promise<ArrayBuffer> {
    const { gpu } = this.#device;
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    return await (await Readback.create(this.#device, buffer.size)).once(buffer, buffer.size);
  }

  [Symbol.dispose](): void {
    for (const buffer of this.#all) buffer.destroy();
  }
}

/** Of so many rows the first, one in the middle and the last: those that are checked. */
export const spread = (rows: number): ReadonlySet<number> => new Set([0, rows >> 1, rows - 1]);
