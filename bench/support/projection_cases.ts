import { chooseVariant, linearVariants } from "../../actors/executor/linear_variants.ts";
import { grid } from "../../kernels/grid.ts";
import { linearMatrix } from "../../kernels/linear_matrix/linear_matrix.ts";
import { linearRows } from "../../kernels/linear_rows/linear_rows.ts";
import { CaseBuffers } from "./case_buffers.ts";
import { caseStep, pageConstants } from "./case_step.ts";
import type { KernelCase, KernelSite } from "./kernel_case.ts";
import { randomMatrix, relativeError } from "./random_matrix.ts";

/** Copies of the weights, so that the last-level cache does not serve them. */
const TURNING_BYTES = 2 ** 29;

/** A layer's projections of so many rows each: the variant that a step chooses, or all that could serve. */
export async function* projectionCases(
  site: KernelSite,
  rowCounts: readonly number[],
  everyVariant: boolean,
): AsyncGenerator<KernelCase> {
  const { device, compiler, config, small } = site;
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim } = config;
  const variants = linearVariants(compiler);
  const shapes: Readonly<Record<string, readonly [number, number]>> = {
    qkv: [hiddenSize, (heads + 2 * kvHeads) * headDim],
    o: [heads * headDim, hiddenSize],
    gate_up: [hiddenSize, 2 * intermediateSize],
    down: [intermediateSize, hiddenSize],
  };
  for (const [what, [IN, OUT]] of Object.entries(shapes)) {
    const bytes = IN * OUT * 2;
    const copies = small ? 1 : Math.ceil(TURNING_BYTES / bytes);
    const weights = Array.from({ length: copies }, () => randomMatrix(device.gpu, IN * OUT, "f16"));
    for (const rows of rowCounts) {
      const chosen = everyVariant
        ? variants.filter(({ kernel, header, upTo }) =>
          (rows === 1 || header.ROWS !== 1) && (kernel !== linearRows || upTo < Infinity)
        )
        : [chooseVariant(variants, rows, OUT)].filter((variant) => variant !== undefined);
      for (const { kernel, header, planes, work } of chosen) {
        const buffers = new CaseBuffers(device);
        const x = buffers.random(rows * IN, "f16");
        const y = buffers.empty(planes * rows * OUT * 4);
        const none = buffers.empty(16);
        const { pipeline, bind } = await compiler.compile(kernel, {
          ...{ IN, OUT, DTYPE: 0, MODULES: 1, FIRST_MODULE: 0, HEAD_POOL: 0 },
          ...pageConstants(config).pages,
        }, header);
        const step = buffers.words(caseStep(config, rows, 16, 0).words);
        const bound = { step, x: x.buffer, pool0: none, pool1: none, y, u: buffers.empty(16) };
        const groups = weights.map((w) => bind({ ...bound, w: w.buffer }));
        const run = (pass: GPUComputePassEncoder, i: number) => {
          pass.setPipeline(pipeline);
          pass.setBindGroup(0, groups[i % copies] ?? null);
          pass.dispatchWorkgroups(...grid(work(rows, OUT, 0)));
        };
        yield {
          ...{ kernel: [kernel.name, ...Object.values(header)].join(" "), what, rows, bytes, run },
          flops: 2 * rows * IN * OUT,
          peak: kernel === linearMatrix ? "matrix" : "fma",
          error: () => relativeError(device, run, x, weights[0], { y, planes }, [rows, IN, OUT]),
          [Symbol.dispose]: () => buffers[Symbol.dispose](),
        };
      }
    }
    for (const { buffer } of weights) buffer.destroy();
  }
}
