import type { Device } from "../../kernels/device.ts";
import { Readback } from "../../kernels/readback.ts";
import { errorOver } from "./error_over.ts";

/** Random numbers on the GPU, a block of them over and over, and their values on the host. */
export interface RandomMatrix {
  readonly buffer: GPUBuffer;
  at(i: number): number;
}

const BLOCK = 2 ** 20;

/** `count` numbers between -0.1 and 0.1: ordinary ones, for zeros can run faster than data does. */
export function randomMatrix(gpu: GPUDevice, count: number, type: "f16" | "f32"): RandomMatrix {
  const length = Math.min(count, BLOCK);
  const values = type === "f16" ? new Float16Array(length) : new Float32Array(length);
  for (let i = 0; i < length; i++) values[i] = (Math.random() - 0.5) / 5;
  const size = count * values.BYTES_PER_ELEMENT;
  const buffer = gpu.createBuffer({
    size,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
  });
  // As bytes: Dawn ends the process when it is given a Float16Array.
  const bytes = new Uint8Array(values.buffer);
  for (let at = 0; at < size; at += bytes.length) {
    gpu.queue.writeBuffer(buffer, at, bytes, 0, Math.min(bytes.length, size - at));
  }
  return { buffer, at: (i) => values[i % length] ?? NaN };
}

/** ||error|| / ||y|| over outputs spread through y, the sum of its planes, each against its sum in f64. */
export async function relativeError(
  device: Device,
  run: (pass: GPUComputePassEncoder, i: number) => void,
  x: RandomMatrix,
  w: RandomMatrix | undefined,
  { y, planes }: { readonly y: GPUBuffer; readonly planes: number },
  [rows, input, output]: readonly [number, number, number],
): Promise<number> {
  if (!w) throw new RangeError("Cannot check a projection without weights");
  const { gpu } = device;
  const encoder = gpu.createCommandEncoder();
  encoder.clearBuffer(y);
  const pass = encoder.beginComputePass();
  run(pass, 0);
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  const readback = await Readback.create(device, output * 4);
  const pairs: [seen: number, right: number][] = [];
  for (const row of new Set([0, rows >> 1, rows - 1])) {
    const seen = new Float32Array(output);
    for (let plane = 0; plane < planes; plane++) {
      const at = (plane * rows + row) * output * 4;
      const part = new Float32Array(await readback.once(y, output * 4, at));
      for (const [n, number] of part.entries()) seen[n] = (seen[n] ?? NaN) + number;
    }
    for (let n = 0; n < output; n += Math.max(1, output >> 6)) {
      let sum = 0;
      for (let k = 0; k < input; k++) sum += w.at(n * input + k) * x.at(row * input + k);
      pairs.push([seen[n] ?? NaN, sum]);
    }
  }
  return errorOver(pairs);
}
