import type { Executor, ExecutorParts } from "../../actors/executor/executor.ts";
import { GREEDY } from "../../actors/sampling.ts";
import { Readback } from "../../kernels/readback.ts";
import { pageId, requestId, slotId, stepId } from "../../memory/ids.ts";
import { BLOCK_TOKENS, pageGeometry } from "../../models/adapter_image.ts";

/** The logits [vocabulary] that follow a prompt of `count` tokens, whose pages are the pool's first ones. */
export async function promptLogits(
  executor: Executor,
  { buffers, config, device }: ExecutorParts,
  count: number,
): Promise<Float32Array> {
  const slot = slotId(0);
  executor.apply({
    ...{ kind: "open", slot, request: requestId("logits"), routes: [] },
    ...{ sampling: GREEDY, prompt: [], generated: [] },
  });
  const { pagesPerBlock } = pageGeometry(config.kvHeads, config.headDim);
  const pages = Math.ceil(count / BLOCK_TOKENS) * pagesPerBlock;
  const row = {
    slot,
    tokens: Array.from({ length: count }, (_, i) => (i * 7919) % config.vocabSize),
    position: 0,
    newPages: Array.from({ length: pages }, (_, page) => pageId(page)),
    sample: true,
    promptTargets: null,
  };
  await executor.step({ kind: "step", step: stepId(1), rows: [row] });
  executor.apply({ kind: "close", slot });
  const bytes = config.vocabSize * 4;
  return new Float32Array(
    await (await Readback.create(device, bytes)).once(buffers.logits, bytes),
  );
}
