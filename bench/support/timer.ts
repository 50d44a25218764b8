import type { Device } from "../../kernels/device.ts";
import { Readback } from "../../kernels/readback.ts";

/** Median seconds of one run of `encode`, back to back on a warm GPU. */
export interface Timer {
  time(encode: (pass: GPUComputePassEncoder, i: number) => void, runs?: number): Promise<number>;
}

const SPIN = /* wgsl */ `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
  var v = f32(id.x);
  for (var i = 0u; i < 4096u; i = i + 1u) { v = fma(v, 1.000001, 0.5); }
  if (v == 12345.0) { y[0] = v; }
}`;

/**
 * Times by the GPU's own timestamps where it has them, else by the wall clock. A card that idled reads five to ten
 * times slow, so every measurement begins with work that raises its clocks.
 */
export async function createTimer(device: Device): Promise<Timer> {
  const { gpu } = device;
  const buffer = gpu.createBuffer({
    size: 16,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const spin = gpu.createComputePipeline({
    layout: "auto",
    compute: { module: gpu.createShaderModule({ code: SPIN }), entryPoint: "main" },
  });
  const group = gpu.createBindGroup({
    layout: spin.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  });
  const readback = await Readback.create(device, 16);
  const warmWorkgroups = device.software ? 1 : 65535;
  const stamped = gpu.features.has("timestamp-query") && !device.software;
  const querySet = stamped ? gpu.createQuerySet({ type: "timestamp", count: 2 }) : null;
  const stamps = gpu.createBuffer({
    size: 16,
    usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });

  const run = async (encode: (pass: GPUComputePassEncoder, i: number) => void, count: number) => {
    const encoder = gpu.createCommandEncoder();
    const timestampWrites = querySet &&
      { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 };
    const pass = encoder.beginComputePass(timestampWrites ? { timestampWrites } : {});
    for (let i = 0; i < count; i++) encode(pass, i);
    pass.end();
    if (querySet) encoder.resolveQuerySet(querySet, 0, 2, stamps, 0);
    readback.copy(encoder, querySet ? stamps : buffer, 16);
    const commands = encoder.finish();
    const start = performance.now();
    gpu.queue.submit([commands]);
    const [began = 0n, ended = 0n] = new BigUint64Array(await readback.read(16));
    return querySet ? Number(ended - began) / 1e9 : (performance.now() - start) / 1000;
  };
  const warm = () =>
    run((pass) => {
      pass.setPipeline(spin);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(warmWorkgroups);
    }, device.software ? 1 : 40);

  return {
    async time(encode, runs = 5) {
      await warm();
      await run(encode, 2);
      if (device.software) return await run(encode, 2) / 2;
      // Enough dispatches that the fixed cost of a submit and a readback is below a few percent.
      const once = await run(encode, 8) / 8;
      const count = Math.max(8, Math.min(2000, Math.ceil(0.02 / once)));
      const empty = await run(() => {}, 0);
      await warm();
      const times: number[] = [];
      for (let i = 0; i < runs; i++) times.push((await run(encode, count) - empty) / count);
      return times.sort((a, b) => a - b)[runs >> 1] ?? NaN;
    },
  };
}
