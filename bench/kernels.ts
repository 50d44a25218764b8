// The projections at Llama-3-8B shapes: time, achieved rate, their ratios to a copy kernel and a register-only FMA
// kernel timed in the same run, and their error. A step's choice of variant; with --all, every variant that could serve.
import { Command } from "commander";
import { chooseVariant, linearVariants } from "../actors/executor/linear_variants.ts";
import { Compiler } from "../kernels/compiler.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import { grid } from "../kernels/grid.ts";
import { linearRows } from "../kernels/linear_rows/linear_rows.ts";
import { clockLine } from "./support/clocks.ts";
import { copyRate } from "./support/copy_rate.ts";
import { fmaRate } from "./support/fma_rate.ts";
import { providerOption } from "./support/provider_option.ts";
import { randomMatrix, relativeError } from "./support/random_matrix.ts";
import { isSmall } from "./support/small.ts";
import { createTimer } from "./support/timer.ts";

const flagsOf = (args: readonly string[]) =>
  new Command("deno task bench kernels")
    .description(
      "Every projection at Llama-3-8B shapes, over a copy and an FMA kernel of the same run",
    )
    .addOption(providerOption())
    .option("--all", "every variant, not only the one that a step would choose")
    .parse([...args], { from: "user" })
    .opts<{ readonly gpu: Provider; readonly all?: true }>();

/** `deno task bench kernels`. */
export async function kernels(args: readonly string[]): Promise<void> {
  const { gpu: provider, all: everyVariant } = flagsOf(args);
  const device = await openDevice(provider);
  const { gpu } = device;
  const compiler = new Compiler(device);
  const timer = await createTimer(device);
  const scale = isSmall(device) ? 16 : 1;
  const SHAPES = {
    qkv: [4096 / scale, 6144 / scale],
    o: [4096 / scale, 4096 / scale],
    gate_up: [4096 / scale, 28672 / scale],
    down: [14336 / scale, 4096 / scale],
  } as const;
  const ROWS = isSmall(device) ? [1, 32] : [1, 4, 8, 16, 32, 64, 128, 512, 2048];

  const storage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = (size: number) => gpu.createBuffer({ size, usage: storage });

  const copied = await copyRate(device, timer);
  const fma = await fmaRate(device, timer);
  console.log(
    `${device.description} through ${provider}: copy ${(copied / 1e12).toFixed(3)} TB/s, ` +
      `f32 fma ${(fma / 1e12).toFixed(1)} TFLOP/s`,
  );
  console.log(
    "kernel                              shape      rows       us  x copy  TFLOP/s   x fma    error",
  );

  const variants = linearVariants(compiler);
  const step = buffer(256);
  const none = buffer(16);
  for (const [name, [IN, OUT]] of Object.entries(SHAPES)) {
    const bytes = IN * OUT * 2;
    // Several copies, so that the last-level cache does not serve the weights.
    const copies = isSmall(device) ? 1 : Math.ceil(2 ** 29 / bytes);
    const weights = Array.from({ length: copies }, () => randomMatrix(gpu, IN * OUT, "f16"));
    for (const rows of ROWS) {
      const x = randomMatrix(gpu, rows * IN, "f16");
      const u = buffer(rows * 3 * 1024);
      const words = new Uint32Array(64);
      words.set([rows, 0, 0, 17, 17, 17]);
      gpu.queue.writeBuffer(step, 0, words);
      const all = variants.filter(({ kernel, header, upTo }) =>
        (rows === 1 || header.ROWS !== 1) && (kernel !== linearRows || upTo < Infinity)
      );
      const chosen = [chooseVariant(variants, rows, OUT)].filter((variant) =>
        variant !== undefined
      );
      for (const { kernel, header, planes, work } of everyVariant ? all : chosen) {
        const y = buffer(planes * rows * OUT * 4);
        const pipeline = await compiler.compile(kernel, {
          IN,
          OUT,
          DTYPE: 0,
          MODULES: 1,
          FIRST_MODULE: 0,
          HEAD_POOL: 0,
          PAGE_VECS: 256,
          SLAB_PAGES: 1,
        }, header);
        const groups = weights.map((w) =>
          pipeline.bind({ step, x: x.buffer, w: w.buffer, pool0: none, pool1: none, y, u })
        );
        const run = (pass: GPUComputePassEncoder, i: number) => {
          pass.setPipeline(pipeline.pipeline);
          pass.setBindGroup(0, groups[i % groups.length] ?? null);
          pass.dispatchWorkgroups(...grid(work(rows, OUT, 0)));
        };
        const time = await timer.time(run);
        const rate = 2 * rows * IN * OUT / time;
        console.log([
          [kernel.name, ...Object.values(header)].join(" ").padEnd(35),
          name.padEnd(8),
          String(rows).padStart(6),
          (time * 1e6).toFixed(1).padStart(9),
          (time * copied / bytes).toFixed(2).padStart(7),
          (rate / 1e12).toFixed(2).padStart(8),
          (rate / fma).toFixed(2).padStart(7),
          (await relativeError(device, run, x, weights[0], { y, planes }, [rows, IN, OUT]))
            .toExponential(1).padStart(8),
        ].join(" "));
        y.destroy();
      }
      for (const gone of [x.buffer, u]) gone.destroy();
    }
    for (const gone of weights) gone.buffer.destroy();
  }
  console.log(await clockLine());
}
