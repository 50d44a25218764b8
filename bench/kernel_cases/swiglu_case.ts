import { grid } from "../../kernels/grid.ts";
import { swiglu, swigluWork } from "../../kernels/swiglu/swiglu.ts";
import { errorOver } from "../support/error_over.ts";
import { CaseBuffers, spread } from "./case_buffers.ts";
import { caseStep, pageConstants } from "./case_step.ts";
import { dispatching, type MakeCase } from "./kernel_case.ts";

export const swigluCase: MakeCase = async ({ device, compiler, config }, rows) => {
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
