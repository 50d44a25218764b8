import { grid } from "../../kernels/grid.ts";
import { ropeKv, ropeKvWork } from "../../kernels/rope_kv/rope_kv.ts";
import { errorOver } from "../support/error_over.ts";
import { CaseBuffers, spread } from "./case_buffers.ts";
import { caseStep, pageConstants, PROMPT_ROWS } from "./case_step.ts";
import { dispatching, type MakeCase } from "./kernel_case.ts";

/** Its keys and values go to pages that are not read again. */
export const ropeCase: MakeCase = async ({ device, compiler, config, small }, rows) => {
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
