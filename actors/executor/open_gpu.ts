import { Compiler } from "../../kernels/compiler.ts";
import { type Device, type DeviceOptions, openDevice } from "../../kernels/device.ts";
import type { EngineOptions } from "../engine_options.ts";
import { matricesMultiply } from "./matrix_self_test.ts";

/**
 * The GPU through the provider that was asked for. `auto`: through Dawn where that opens one whose matrix units
 * multiply as they must, else through Deno's own WebGPU.
 * @throws {Error} as openDevice does.
 */
export async function openGpu(gpu: EngineOptions["gpu"], options?: DeviceOptions): Promise<Device> {
  if (gpu !== "auto") return await openDevice(gpu, options);
  return await withMatrices(options) ?? await openDevice("builtin", options);
}

async function withMatrices(options?: DeviceOptions): Promise<Device | null> {
  let device: Device;
  try {
    device = await openDevice("dawn", options);
  } catch {
    return null; // not installed, not allowed, or no driver that it takes: the other one says what is missing
  }
  try {
    if (device.matrices && await matricesMultiply(device, new Compiler(device))) return device;
  } catch {
    // What cannot be compiled is of no use.
  }
  device.gpu.destroy();
  return null;
}
