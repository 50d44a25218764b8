import { residualNorm, residualNormWorkgroups } from "../../kernels/residual_norm/residual_norm.ts";
import { LAYER_MODULES } from "../../models/model_config.ts";
import { errorOver } from "../support/error_over.ts";
import { CaseBuffers, spread } from "./case_buffers.ts";
import { caseStep, pageConstants } from "./case_step.ts";
import { dispatching, type MakeCase } from "./kernel_case.ts";

export const normCase: MakeCase = async ({ device, compiler, config }, rows) => {
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
