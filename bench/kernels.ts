// Every hot kernel at Llama-3-8B shapes: time, achieved rate, and its ratio to a copy kernel timed in the same run.
import { linearVariants } from "../actors/executor/linear_variants.ts";
import { Compiler } from "../kernels/compiler.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import { grid } from "../kernels/grid.ts";
import { copyRate } from "./support/copy_rate.ts";
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

const copied = await copyRate(device, timer);
console.log(`${device.description} through ${provider}: copy ${(copied / 1e12).toFixed(3)} TB/s`);
console.log("kernel                         shape      rows       us     TB/s  x floor  TFLOP/s");

const variants = linearVariants(gpu.features);
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
    for (const { kernel, header, upTo, work } of variants) {
      // The variant that a step would run, and the one after it.
      if (upTo < rows || (header.ROWS === 1 && rows > 1)) continue;
      if (variants.filter((other) => other.upTo >= rows && other.upTo < upTo).length > 1) continue;
      const pipeline = await compiler.compile(kernel, {
        IN,
        OUT,
        BF16: 0,
        MODULES: 1,
        FIRST_MODULE: 0,
        HEAD_POOL: 0,
        PAGE_VECS: 256,
        SLAB_PAGES: 1,
      }, header);
      const groups = weights.map((w) =>
        pipeline.bind({ step, x, w, pool0: none, pool1: none, y, u })
      );
      const time = await timer.time((pass, i) => {
        pass.setPipeline(pipeline.pipeline);
        pass.setBindGroup(0, groups[i % groups.length] ?? null);
        pass.dispatchWorkgroups(...grid(work(rows, OUT, 0)));
      });
      const floor = bytes / copied;
      console.log([
        [kernel.name, ...Object.values(header)].join(" ").padEnd(30),
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
