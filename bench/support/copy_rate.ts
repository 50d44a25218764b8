import { grid } from "../../kernels/grid.ts";
import type { Device } from "../../kernels/device.ts";
import type { Timer } from "./timer.ts";

const COPY = /* wgsl */ `
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.y * n.x + w.x) * 256u + l;
  y[i] = x[i];
}`;

/** Bytes a second of a copy kernel, read and written: the ceiling that every memory-bound ratio is over. */
export async function copyRate({ gpu, software }: Device, timer: Timer): Promise<number> {
  const bytes = software ? 2 ** 22 : 2 ** 30;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const [x, y] = [
    gpu.createBuffer({ size: bytes, usage }),
    gpu.createBuffer({ size: bytes, usage }),
  ];
  const module = gpu.createShaderModule({ code: COPY });
  const pipeline = gpu.createComputePipeline({
    layout: "auto",
    compute: { module, entryPoint: "main" },
  });
  const group = gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer: x } }, { binding: 1, resource: { buffer: y } }],
  });
  const seconds = await timer.time((pass) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...grid(bytes / 16 / 256));
  });
  x.destroy();
  y.destroy();
  return (2 * bytes) / seconds;
}
