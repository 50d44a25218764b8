// Every hot kernel at Llama-3-8B shapes: time, achieved rate, and its ratio to a copy kernel timed in the same run.
import { Compiler } from "../kernels/compiler.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import { grid } from "../kernels/grid.ts";
import { linearRows, linearRowsWork } from "../kernels/linear_rows/linear_rows.ts";
import { linearTiles, linearTilesWork } from "../kernels/linear_tiles/linear_tiles.ts";
import { createTimer } from "./support/timer.ts";

const provider = (Deno.env.get("CHORUS_GPU") ?? "builtin") as Provider;
const device = await openDevice(provider);
const { gpu } = device;
const compiler = new Compiler(gpu);
const timer = await createTimer(device);
const scale = device.software ? 16 : 1;
const SHAPES = {
  qkv: [4096 / scale, 6144 / scale],
  o: [4096 / scale, 4096 / scale],
  gate_up: [4096 / scale, 28672 / scale],
  down: [14336 / scale, 4096 / scale],
} as const;
const ROWS = device.software ? [1, 32] : [1, 4, 8, 16, 32, 64, 128, 512, 2048];

const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
const buffer = (size: number) => gpu.createBuffer({ size, usage: storage });
function randomBuffer(bytes: number): GPUBuffer {
  const made = buffer(bytes);
  const words = new Uint32Array(Math.min(bytes, 2 ** 22) / 4);
  // Pairs of f16 near 0.01 with random signs and mantissas: ordinary numbers, not zeros.
  for (let i = 0; i < words.length; i++) {
    words[i] = (0x21002100 | (Math.random() * 2 ** 32 & 0x83ff83ff)) >>> 0;
  }
  for (let at = 0; at < bytes; at += words.byteLength) {
    gpu.queue.writeBuffer(made, at, words, 0, Math.min(words.length, (bytes - at) / 4));
  }
  return made;
}

// The ceiling: a copy of 1 GiB, bytes read and written.
const COPY = /* wgsl */ `
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let i = (w.y * n.x + w.x) * 256u + l;
  y[i] = x[i];
}`;
const copyBytes = device.software ? 2 ** 22 : 2 ** 30;
const [from, to] = [buffer(copyBytes), buffer(copyBytes)];
const copy = gpu.createComputePipeline({
  layout: "auto",
  compute: { module: gpu.createShaderModule({ code: COPY }), entryPoint: "main" },
});
const copyGroup = gpu.createBindGroup({
  layout: copy.getBindGroupLayout(0),
  entries: [{ binding: 0, resource: { buffer: from } }, { binding: 1, resource: { buffer: to } }],
});
const copyTime = await timer.time((pass) => {
  pass.setPipeline(copy);
  pass.setBindGroup(0, copyGroup);
  pass.dispatchWorkgroups(...grid(copyBytes / 16 / 256));
});
const copyRate = (2 * copyBytes) / copyTime;
console.log(`${device.description} through ${provider}: copy ${(copyRate / 1e12).toFixed(3)} TB/s`);
console.log("kernel        shape      rows       us     TB/s  x floor  TFLOP/s");

const step = buffer(256);
const none = buffer(16);
for (const [name, [IN, OUT]] of Object.entries(SHAPES)) {
  const bytes = IN * OUT * 2;
  // Several copies, so that the last-level cache does not serve the weights.
  const weights = Array.from(
    { length: device.software ? 1 : Math.ceil(2 ** 29 / bytes) },
    () => randomBuffer(bytes),
  );
  for (const rows of ROWS) {
    const x = randomBuffer(rows * IN * 4);
    const y = buffer(rows * OUT * 4);
    const u = buffer(rows * 3 * 1024);
    const words = new Uint32Array(64);
    words.set([rows, 0, 0, 17, 17, 17]);
    gpu.queue.writeBuffer(step, 0, words);
    for (
      const [kernel, work] of [[linearRows, linearRowsWork], [
        linearTiles,
        linearTilesWork,
      ]] as const
    ) {
      if (kernel === linearRows && rows > 64 || kernel === linearTiles && rows < 16) continue;
      const pipeline = await compiler.compile(kernel, {
        IN,
        OUT,
        BF16: 0,
        MODULES: 1,
        FIRST_MODULE: 0,
        HEAD_POOL: 0,
        PAGE_VECS: 256,
        SLAB_PAGES: 1,
      });
      const groups = weights.map((w) =>
        pipeline.bind({ step, x, w, pool0: none, pool1: none, y, u })
      );
      const time = await timer.time((pass, i) => {
        pass.setPipeline(pipeline.pipeline);
        pass.setBindGroup(0, groups[i % groups.length] ?? null);
        pass.dispatchWorkgroups(...grid(work(rows, OUT, 0)));
      });
      const floor = bytes / copyRate;
      console.log([
        kernel.name.padEnd(13),
        name.padEnd(8),
        String(rows).padStart(6),
        (time * 1e6).toFixed(1).padStart(9),
        (bytes / time / 1e12).toFixed(3).padStart(8),
        (time / floor).toFixed(2).padStart(8),
        (2 * rows * IN * OUT / time / 1e12).toFixed(2).padStart(8),
      ].join(" "));
    }
    for (const gone of [x, y, u]) gone.destroy();
  }
  for (const gone of weights) gone.destroy();
}
