import type { Device } from "../../kernels/device.ts";
import type { Timer } from "./timer.ts";

/** Turns of the loop, and multiply-adds of four lanes each in a turn. */
const TURNS = 512;
const STEPS = 64;
const LINES = Array.from({ length: STEPS }, (_, i) => `v${i % 8} = fma(v${i % 8}, a, b);`).join(
  "\n",
);
const FMA = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> y: array<vec4<f32>>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  let a = vec4<f32>(0.999 + f32(id.x % 7u) * 1e-6);
  let b = vec4<f32>(0.5);
  var v0 = a; var v1 = a * 2.0; var v2 = a * 3.0; var v3 = a * 4.0;
  var v4 = a * 5.0; var v5 = a * 6.0; var v6 = a * 7.0; var v7 = a * 8.0;
  for (var i = 0u; i < ${TURNS}u; i = i + 1u) {
    ${LINES}
  }
  let sum = v0 + v1 + v2 + v3 + v4 + v5 + v6 + v7;
  if (sum.x == 12345.0) { y[0] = sum; }
}`;

/** f32 operations a second of a kernel that multiplies and adds in registers alone: the ceiling without matrices. */
export async function fmaRate({ gpu, software }: Device, timer: Timer): Promise<number> {
  const workgroups = software ? 4 : 4096;
  const buffer = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.STORAGE });
  const module = gpu.createShaderModule({ code: FMA });
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
  return 2 * 4 * STEPS * TURNS * 256 * workgroups / seconds;
}
