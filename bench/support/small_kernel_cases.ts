import { grid } from "../../kernels/grid.ts";
import { residualNorm, residualNormWorkgroups } from "../../kernels/residual_norm/residual_norm.ts";
import { ropeKv, ropeKvWork } from "../../kernels/rope_kv/rope_kv.ts";
import { RESULT_WORDS } from "../../kernels/sample/results.ts";
import { sample, sampleWorkgroups } from "../../kernels/sample/sample.ts";
import { swiglu, swigluWork } from "../../kernels/swiglu/swiglu.ts";
import { LAYER_MODULES } from "../../models/model_config.ts";
import { CaseBuffers, errorOver } from "./case_buffers.ts";
import { caseStep, pageConstants, PROMPT_ROWS } from "./case_step.ts";
import type { KernelCase, KernelSite } from "./kernel_case.ts";

type Make = (site: KernelSite, rows: number) => Promise<KernelCase>;

const dispatching =
  (pipeline: GPUComputePipeline, group: GPUBindGroup, workgroups: readonly [number, number?]) =>
  (pass: GPUComputePassEncoder) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
  };

/** Of a row the first, one in the middle and the last. */
const spread = (count: number) => new Set([0, count >> 1, count - 1]);

/** Its keys and values go to pages that are not read again. */
const ropeCase: Make = async ({ device, compiler, config, small }, rows) => {
  const { heads, kvHeads, headDim } = config;
  const prompt = rows >= PROMPT_ROWS;
  const context = small ? 64 : 512;
  const { pages, PAGES_PER_BLOCK, pageBytes } = pageConstants(config);
  const buffers = new CaseBuffers(device);
  const step = caseStep(config, rows, context, 0);
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = buffers.random(rows * width, "f32");
  const rope = buffers.random((prompt ? rows : context) * headDim, "f32");
  const q = buffers.empty(rows * heads * headDim * 4);
  const none = buffers.empty(16);
  const pipeline = await compiler.compile(ropeKv, {
    ...{ HEADS: heads, KV_HEADS: kvHeads, HEAD_DIM: headDim, QKV_BIAS: 0, QK_NORM: 0 },
    ...{ EPS: 1e-5, PAGES_PER_BLOCK, ...pages },
  });
  const group = pipeline.bind({
    ...{ step: buffers.words(step.words), qkv: qkv.buffer, u: none, bias: none, norms: none, q },
    ...{
      rope: rope.buffer,
      pool0: buffers.empty(step.pages * pageBytes),
      pool1: buffers.empty(16),
    },
  });
  const work = grid(ropeKvWork(rows, heads, kvHeads, headDim));
  const run = dispatching(pipeline.pipeline, group, work);
  const half = headDim / 2;
  const turned = (t: number, d: number) => {
    const at = (prompt ? t : context - 1) * headDim + (d % half) * 2;
    const x = (d: number) => qkv.at(t * width + d);
    const [cos, sin] = [rope.at(at), rope.at(at + 1)];
    return d < half ? x(d) * cos - x(d + half) * sin : x(d) * cos + x(d - half) * sin;
  };
  return {
    ...{ kernel: "rope_kv", what: "heads", rows, peak: "fma", run },
    bytes: rows * (width * 4 + heads * headDim * 4 + 2 * kvHeads * headDim * 2),
    flops: 3 * rows * (heads + kvHeads) * headDim,
    async error() {
      const seen = new Float32Array(await buffers.results(run, q));
      return errorOver(
        [...spread(rows)].flatMap((t) =>
          Array.from(
            { length: headDim },
            (_, d) => [seen[t * heads * headDim + d] ?? NaN, turned(t, d)] as const,
          )
        ),
      );
    },
    [Symbol.dispose]: () => buffers[Symbol.dispose](),
  };
};

const normCase: Make = async ({ device, compiler, config }, rows) => {
  const { hiddenSize } = config;
  const buffers = new CaseBuffers(device);
  const [y, h] = [buffers.random(rows * hiddenSize, "f32"), buffers.empty(rows * hiddenSize * 4)];
  const gamma = buffers.random(hiddenSize, "f32");
  const [xn, none] = [buffers.empty(rows * hiddenSize * 2), buffers.empty(16)];
  const pipeline = await compiler.compile(residualNorm, {
    ...{ HIDDEN: hiddenSize, EPS: 1e-5, MODULE: LAYER_MODULES.indexOf("o") },
    ...{ WORKGROUP: Math.min(compiler.lanes, Math.max(32, hiddenSize / 8)) },
    ...pageConstants(config).pages,
  });
  const { words } = caseStep(config, rows, 16, 0);
  const group = pipeline.bind({
    ...{ step: buffers.words(words), y: y.buffer, u: none, pool0: none, pool1: none },
    ...{ gamma: gamma.buffer, h, xn },
  });
  const run = dispatching(pipeline.pipeline, group, residualNormWorkgroups(rows));
  return {
    ...{ kernel: "residual_norm", what: "hidden", rows, peak: "fma", run },
    bytes: rows * hiddenSize * (4 + 4 + 4 + 2),
    flops: 4 * rows * hiddenSize,
    async error() {
      device.gpu.queue.writeBuffer(h, 0, new Uint8Array(h.size)); // which other runs have added to
      const seen = new Float16Array(await buffers.results(run, xn));
      return errorOver([...spread(rows)].flatMap((t) => {
        const row = Array.from({ length: hiddenSize }, (_, i) => y.at(t * hiddenSize + i));
        const mean = row.reduce((sum, x) => sum + x * x, 0) / hiddenSize;
        return row.map((x, i) =>
          [seen[t * hiddenSize + i] ?? NaN, x / Math.sqrt(mean + 1e-5) * gamma.at(i)] as const
        );
      }));
    },
    [Symbol.dispose]: () => buffers[Symbol.dispose](),
  };
};

const swigluCase: Make = async ({ device, compiler, config }, rows) => {
  const { intermediateSize } = config;
  const buffers = new CaseBuffers(device);
  const gateUp = buffers.random(rows * 2 * intermediateSize, "f32");
  const [a, none] = [buffers.empty(rows * intermediateSize * 2), buffers.empty(16)];
  const constants = { INTERMEDIATE: intermediateSize, ...pageConstants(config).pages };
  const pipeline = await compiler.compile(swiglu, constants);
  const step = buffers.words(caseStep(config, rows, 16, 0).words);
  const bound = { step, gate_up: gateUp.buffer, u: none, pool0: none, pool1: none, a };
  const work = grid(swigluWork(rows, intermediateSize));
  const run = dispatching(pipeline.pipeline, pipeline.bind(bound), work);
  return {
    ...{ kernel: "swiglu", what: "mlp", rows, peak: "fma", run },
    bytes: rows * intermediateSize * (4 + 4 + 2),
    flops: 5 * rows * intermediateSize,
    async error() {
      const seen = new Float16Array(await buffers.results(run, a));
      return errorOver(
        [...spread(rows)].flatMap((t) =>
          Array.from({ length: intermediateSize }, (_, i) => {
            const gate = gateUp.at(2 * t * intermediateSize + i);
            const up = gateUp.at((2 * t + 1) * intermediateSize + i);
            return [
              seen[t * intermediateSize + i] ?? NaN,
              gate / (1 + Math.exp(-gate)) * up,
            ] as const;
          })
        ),
      );
    },
    [Symbol.dispose]: () => buffers[Symbol.dispose](),
  };
};

/** Greedy: its error is by how much the largest logit exceeds the drawn token's. */
const sampleCase: Make = async ({ device, compiler, config }, rows) => {
  const { vocabSize } = config;
  const buffers = new CaseBuffers(device);
  const scores = buffers.random(rows * vocabSize, "f32");
  const results = buffers.empty(rows * RESULT_WORDS * 4);
  const WORKGROUP = Math.min(compiler.lanes, 1024);
  const pipeline = await compiler.compile(sample, { VOCAB: vocabSize, WORKGROUP });
  const group = pipeline.bind({
    ...{ step: buffers.words(caseStep(config, rows, 16, 0).words), scores: scores.buffer, results },
    ...{ counts: buffers.empty(16), last_token: buffers.empty(rows * 4) },
  });
  const run = dispatching(pipeline.pipeline, group, sampleWorkgroups(rows));
  return {
    ...{ kernel: "sample", what: "vocabulary", rows, peak: "fma", run },
    bytes: rows * vocabSize * 4,
    flops: rows * vocabSize,
    async error() {
      const seen = new Uint32Array(await buffers.results(run, results));
      return errorOver([...spread(rows)].map((r) => {
        const logits = Array.from({ length: vocabSize }, (_, v) => scores.at(r * vocabSize + v));
        const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
        return [logits[seen[r * RESULT_WORDS] ?? -1] ?? NaN, most] as const;
      }));
    },
    [Symbol.dispose]: () => buffers[Symbol.dispose](),
  };
};

/** What runs between the projections; prompts sample one row alone. */
export const smallKernelCases = (rows: number): readonly Make[] =>
  rows >= PROMPT_ROWS
    ? [ropeCase, normCase, swigluCase]
    : [ropeCase, normCase, swigluCase, sampleCase];
