import { RESULT_WORDS } from "../../kernels/sample/results.ts";
import { sample, sampleWorkgroups } from "../../kernels/sample/sample.ts";
import { errorOver } from "../support/error_over.ts";
import { CaseBuffers, spread } from "./case_buffers.ts";
import { caseStep } from "./case_step.ts";
import { dispatching, type MakeCase } from "./kernel_case.ts";

/** Greedy: its error is by how much the largest logit exceeds the drawn token's. */
export const sampleCase: MakeCase = async ({ device, compiler, config }, rows) => {
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
