import type { Device } from "../../kernels/device.ts";
import { Readback } from "../../kernels/readback.ts";

/** What one kernel took, over all its dispatches. */
export interface KernelTime {
  count: number;
  seconds: number;
}

/** GPU time by kernel: a pass of its own for every dispatch, by timestamps. */
export async function profileDispatches(
  device: Device,
  dispatches: readonly {
    readonly name: string;
    readonly write: (pass: GPUComputePassEncoder) => void;
  }[],
): Promise<Map<string, KernelTime>> {
  const { gpu } = device;
  const querySet = gpu.createQuerySet({ type: "timestamp", count: 2 * dispatches.length });
  const bytes = 16 * dispatches.length;
  const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
  const stamps = gpu.createBuffer({ size: bytes, usage });
  const encoder = gpu.createCommandEncoder();
  dispatches.forEach(({ write }, i) => {
    const timestampWrites = {
      querySet,
      beginningOfPassWriteIndex: 2 * i,
      endOfPassWriteIndex: 2 * i + 1,
    };
    const pass = encoder.beginComputePass({ timestampWrites });
    write(pass);
    pass.end();
  });
  encoder.resolveQuerySet(querySet, 0, 2 * dispatches.length, stamps, 0);
  gpu.queue.submit([encoder.finish()]);
  const times = new BigUint64Array(
    await (await Readback.create(device, bytes)).once(stamps, bytes),
  );
  const kernels = new Map<string, KernelTime>();
  dispatches.forEach(({ name }, i) => {
    const known = kernels.get(name) ?? { count: 0, seconds: 0 };
    known.count++;
    known.seconds += Number((times[2 * i + 1] ?? 0n) - (times[2 * i] ?? 0n)) / 1e9;
    kernels.set(name, known);
  });
  return kernels;
}
