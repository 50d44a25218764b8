import type { Compiler } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import { WEIGHT_DTYPES } from "../../kernels/linear.ts";
import { linearMatrix } from "../../kernels/linear_matrix/linear_matrix.ts";
import { Readback } from "../../kernels/readback.ts";
import { ONE_SLAB, STEP_HEADER_WORDS } from "../../kernels/step_words.ts";
import { linearVariants } from "./linear_variants.ts";

const [ROWS, IN, OUT] = [16, 256, 64];

/** Whole numbers from -3 to 3: their sums of products are exact in any order. */
const numbers = (count: number, seed: number) =>
  Float16Array.from({ length: count }, (_, i) => (i * i + seed * i) % 7 - 3);

/**
 * Whether a projection on the device's matrix units is, to the bit, what it must be: drivers are young there.
 * @throws {SyntaxError} where the kernel does not compile.
 */
export async function matricesMultiply(device: Device, compiler: Compiler): Promise<boolean> {
  const variant = linearVariants(compiler).find(({ kernel, planes }) =>
    kernel === linearMatrix && planes === 1
  );
  if (!variant) return false;
  const pipeline = await compiler.compile(variant.kernel, {
    ...{ IN, OUT, DTYPE: WEIGHT_DTYPES.f16, MODULES: 1, FIRST_MODULE: 1, HEAD_POOL: 0 },
    ...{ PAGE_VECS: 256, SLAB_PAGES: ONE_SLAB },
  }, variant.header);
  const { gpu } = device;
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = (bytes: number, data?: ArrayBuffer) => {
    const made = gpu.createBuffer({ size: Math.max(16, bytes), usage });
    // Bytes: an array of f16 ends the process within Dawn's addon.
    if (data) gpu.queue.writeBuffer(made, 0, new Uint8Array(data));
    return made;
  };
  const [x, w] = [numbers(ROWS * IN, 1), numbers(OUT * IN, 2)];
  const step = new Uint32Array(STEP_HEADER_WORDS);
  step[0] = ROWS; // tokens; all of its tables are empty
  const buffers = {
    step: buffer(step.byteLength, step.buffer),
    x: buffer(x.byteLength, x.buffer),
    w: buffer(w.byteLength, w.buffer),
    y: buffer(ROWS * OUT * 4),
    u: buffer(16),
    pool0: buffer(4096),
    pool1: buffer(16),
  };
  const encoder = gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline.pipeline);
  pass.setBindGroup(0, pipeline.bind(buffers));
  pass.dispatchWorkgroups(variant.work(ROWS, OUT, 0));
  pass.end();
  gpu.queue.submit([encoder.finish()]);
  const readback = await Readback.create(device, ROWS * OUT * 4);
  const y = new Float32Array(await readback.once(buffers.y, ROWS * OUT * 4));
  for (const made of Object.values(buffers)) made.destroy();
  return y.every((value, i) => value === product(x, w, Math.floor(i / OUT), i % OUT));
}

/** Row `r` of x times row `n` of w. */
function product(x: Float16Array, w: Float16Array, r: number, n: number): number {
  let sum = 0;
  for (let k = 0; k < IN; k++) sum += (x[r * IN + k] ?? NaN) * (w[n * IN + k] ?? NaN);
  return sum;
}
