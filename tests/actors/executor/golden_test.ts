import { assertEquals } from "@std/assert";
import { startExecutor } from "../../../actors/executor/start_executor.ts";
import type { Row } from "../../../actors/executor/protocol.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { Readback } from "../../../kernels/readback.ts";
import { pageId, requestId, slotId, stepId } from "../../../memory/ids.ts";
import { assertClose } from "../../support/close.ts";
import { testOptions } from "../../support/engine_options.ts";
import { ARCHITECTURES, goldens } from "../../support/goldens.ts";
import { randomSource, shuffled } from "../../support/random.ts";

/** Bar of the project: ||error|| / ||logits|| with 16-bit KV. */
const LOGITS_ERROR = 2e-3;

for (const architecture of ARCHITECTURES) {
  const golden = goldens(architecture);
  Deno.test(`${architecture}: base logits and 64 greedy tokens equal transformers'`, async () => {
    const { executor, parts } = await startExecutor(testOptions(golden.directory), () => {});
    const { config, buffers } = parts;
    const pages = shuffled(randomSource(1), Math.min(512, parts.layerLayout.pages));
    const readback = await Readback.create(parts.device, config.vocabSize * 4);
    const slot = slotId(3);
    const { prompts, logits } = golden.cases.base ?? { prompts: [], logits: null };
    assertEquals(prompts.length > 0, true);
    for (const [index, { prompt, tokens }] of prompts.entries()) {
      const table = pages.slice(index * 40, (index + 1) * 40).map(pageId);
      const run = async (row: Pick<Row, "tokens" | "position" | "newPages">) => {
        const rows = [{ slot, sample: true, promptTargets: null, ...row }];
        const [result] = await executor.step({ kind: "step", step: stepId(1), rows });
        return result?.token ?? -1;
      };
      await executor.apply({
        kind: "open",
        slot,
        request: requestId(`r${index}`),
        sampling: GREEDY,
        routes: [],
        prompt: [],
        generated: [],
      });
      // Greedy, the sampled tokens never leaving the GPU between steps.
      const seen = [await run({ tokens: prompt, position: 0, newPages: table })];
      while (seen.length < tokens.length) {
        const position = prompt.length + seen.length - 1;
        seen.push(await run({ tokens: null, position, newPages: [] }));
      }
      assertEquals(seen, tokens, `prompt ${index}`);

      // Teacher-forced, the whole text prefilled up to each position.
      const text = [...prompt, ...tokens];
      for (const position of index === logits?.prompt ? logits.positions : []) {
        for (let at = 0; at <= position; at += 48) {
          await run({
            tokens: text.slice(at, Math.min(position + 1, at + 48)),
            position: at,
            newPages: [],
          });
        }
        const bytes = await readback.once(buffers.logits, config.vocabSize * 4);
        const expected = golden.logits("base", index, position);
        assertClose(new Float32Array(bytes), expected, LOGITS_ERROR, `logits at ${position}`);
      }
      await executor.apply({ kind: "close", slot });
    }
  });
}
