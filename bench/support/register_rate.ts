import type { Device } from "../../kernels/device.ts";
import type { Timer } from "./timer.ts";

/** Operations a second of a kernel that binds one small buffer `y` and computes in registers alone. */
export async function registerRate(
  { gpu, software }: Device,
  timer: Timer,
  code: string,
  operationsAWorkgroup: number,
): Promise<number> {
  const workgroups = software ? 4 : 4096;
  const buffer = gpu.createBuffer({ size: 4096, usage: GPUBufferUsage.STORAGE });
  const module = gpu.createShaderModule({ code });
  const pipeline = gpu.createComputePipeline({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
  const group = gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const seconds = await timer.time((pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(workgroups);
  });
  buffer.destroy();
  return operationsAWorkgroup * workgroups / seconds;
}

/** `lines(i)` for i = 0, 1, ... `count`, one under another. */
export const written = (count: number, line: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => line(i)).join("\n");
