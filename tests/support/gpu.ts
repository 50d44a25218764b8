import { Compiler, type ConstantValues } from "../../kernels/compiler.ts";
import { type Device, openDevice, type Provider } from "../../kernels/device.ts";
import type { Kernel } from "../../kernels/kernel.ts";
import { Readback } from "../../kernels/readback.ts";

/** The device under test: CHORUS_GPU=dawn runs the same suite through Dawn. */
const provider = (Deno.env.get("CHORUS_GPU") ?? "builtin") as Provider;
let opened: Promise<Device> | undefined;
export const testDevice = (): Promise<Device> =>
  opened ??= openDevice(provider, { softwareMatrices: true });
let compiler: Promise<Compiler> | undefined;
export const testCompiler = (): Promise<Compiler> =>
  compiler ??= testDevice().then((device) => new Compiler(device));

const USAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
export type Words = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

/** A storage buffer holding `data`. */
export async function upload(data: Words): Promise<GPUBuffer> {
  const { gpu } = await testDevice();
  const buffer = gpu.createBuffer({ size: Math.max(16, data.byteLength), usage: USAGE });
  if (data.byteLength > 0) {
    gpu.queue.writeBuffer(buffer, 0, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return buffer;
}

/** Compiles `kernel`, runs it once on `buffers` and returns nothing; read buffers with `download`. */
export async function dispatch<B extends string, C extends string>(
  kernel: Kernel<B, C>,
  constants: ConstantValues<C>,
  buffers: Readonly<Record<B, GPUBuffer>>,
  workgroups: readonly [number, number?, number?],
  header: Readonly<Record<string, number>> = {},
): Promise<void> {
  const { gpu } = await testDevice();
  const pipeline = await (await testCompiler()).compile(kernel, constants, header);
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline.pipeline);
  pass.setBindGroup(0, pipeline.bind(buffers));
  pass.dispatchWorkgroups(workgroups[0], workgroups[1] ?? 1, workgroups[2] ?? 1);
  pass.end();
  gpu.pushErrorScope("validation");
  gpu.queue.submit([encoder.finish()]);
  const error = await gpu.popErrorScope();
  if (error) throw new Error(`Cannot run kernel ${kernel.name}: ${error.message}`);
}

/** The first `count` 32-bit words of a buffer as floats. */
export async function downloadF32(buffer: GPUBuffer, count: number): Promise<Float32Array> {
  return new Float32Array(await downloadBytes(buffer, count * 4));
}
/** The first `count` halves of a buffer as floats. */
export async function downloadF16(buffer: GPUBuffer, count: number): Promise<Float32Array> {
  const halves = new Float16Array(await downloadBytes(buffer, Math.ceil(count / 2) * 4));
  return Float32Array.from(halves.subarray(0, count));
}
export async function downloadU32(buffer: GPUBuffer, count: number): Promise<Uint32Array> {
  return new Uint32Array(await downloadBytes(buffer, count * 4));
}

async function downloadBytes(buffer: GPUBuffer, bytes: number): Promise<ArrayBuffer> {
  const device = await testDevice();
  return await (await Readback.create(device, bytes)).once(buffer, bytes);
}
