import {
  chooseVariant,
  type LinearVariant,
  linearVariants,
} from "../../actors/executor/linear_variants.ts";
import { grid } from "../../kernels/grid.ts";
import { linearMatrix } from "../../kernels/linear_matrix/linear_matrix.ts";
import { linearRows } from "../../kernels/linear_rows/linear_rows.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import { CaseBuffers } from "./case_buffers.ts";
import { caseStep, pageConstants } from "./case_step.ts";
import type { KernelCase, KernelSite } from "./kernel_case.ts";
import { type RandomMatrix, randomMatrix, relativeError } from "../support/random_matrix.ts";

/** A matrix [out][input] of a layer. */
export interface ProjectionShape {
  readonly name: string;
  readonly input: number;
  readonly out: number;
}

/** A layer's four. */
export function projectionShapes(
  { hiddenSize, intermediateSize, heads, kvHeads, headDim }: ModelConfig,
): readonly ProjectionShape[] {
  return [
    { name: "qkv", input: hiddenSize, out: (heads + 2 * kvHeads) * headDim },
    { name: "o", input: heads * headDim, out: hiddenSize },
    { name: "gate_up", input: hiddenSize, out: 2 * intermediateSize },
    { name: "down", input: intermediateSize, out: hiddenSize },
  ];
}

/** So many copies of the weights that the last-level cache does not serve them. */
const TURNING_BYTES = 2 ** 29;

export function turningWeights(
  { device, small }: KernelSite,
  { input, out }: ProjectionShape,
): readonly RandomMatrix[] {
  const copies = small ? 1 : Math.ceil(TURNING_BYTES / (input * out * 2));
  return Array.from({ length: copies }, () => randomMatrix(device.gpu, input * out, "f16"));
}

/** One variant with `rows` rows, on `weights` in turn. */
export async function projectionCase(
  { device, compiler, config }: KernelSite,
  { kernel, header, planes, work }: Pick<LinearVariant, "kernel" | "header" | "planes" | "work">,
  { name, input: IN, out: OUT }: ProjectionShape,
  rows: number,
  weights: readonly RandomMatrix[],
): Promise<KernelCase> {
  const { pipeline, bind } = await compiler.compile(kernel, {
    ...{ IN, OUT, DTYPE: 0, MODULES: 1, FIRST_MODULE: 0, HEAD_POOL: 0 },
    ...pageConstants(config).pages,
  }, header);
  const buffers = new CaseBuffers(device);
  const x = buffers.random(rows * IN, "f16");
  const y = buffers.empty(planes * rows * OUT * 4);
  const [none, u] = [buffers.empty(16), buffers.empty(16)];
  const step = buffers.words(caseStep(config, rows, 16, 0).words);
  const bound = { step, x: x.buffer, pool0: none, pool1: none, y, u };
  const groups = weights.map((w) => bind({ ...bound, w: w.buffer }));
  const run = (pass: GPUComputePassEncoder, i: number) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, groups[i % groups.length] ?? null);
    pass.dispatchWorkgroups(...grid(work(rows, OUT, 0)));
  };
  return {
    kernel: [kernel.name, ...Object.values(header)].join(" "),
    what: name,
    rows,
    bytes: IN * OUT * 2,
    flops: 2 * rows * IN * OUT,
    peak: kernel === linearMatrix ? "matrix" : "fma",
    run,
    error: () => relativeError(device, run, x, weights[0], { y, planes }, [rows, IN, OUT]),
    [Symbol.dispose]: () => buffers[Symbol.dispose](),
  };
}

/** A layer's projections of so many rows each: the variant that a step chooses, or all that could serve. */
export async function* projectionCases(
  site: KernelSite,
  rowCounts: readonly number[],
  everyVariant: boolean,
): AsyncGenerator<KernelCase> {
  for (const shape of projectionShapes(site.config)) {
    const variants = linearVariants(site.compiler, everyVariant ? Infinity : shape.input);
    const weights = turningWeights(site, shape);
    for (const rows of rowCounts) {
      const chosen = everyVariant
        ? variants.filter(({ kernel, header, upTo }) =>
          (rows === 1 || header.ROWS !== 1) && (kernel !== linearRows || upTo < Infinity)
        )
        : [chooseVariant(variants, rows, shape.out)].filter((variant) => variant !== undefined);
      for (const variant of chosen) yield await projectionCase(site, variant, shape, rows, weights);
    }
    for (const { buffer } of weights) buffer.destroy();
  }
}
