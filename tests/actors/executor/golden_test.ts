import { assertEquals } from "@std/assert";
import { assertClose } from "../../support/close.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { ARCHITECTURES, goldens } from "../../support/goldens.ts";

/** Bar of the project: ||error|| / ||logits||, KV in 16 bits. */
const LOGITS_ERROR = 2e-3;

for (const architecture of ARCHITECTURES) {
  const golden = goldens(architecture);

  Deno.test(`${architecture}: teacher-forced logits of base and every adapter equal PEFT's (vLLM #55193, vLLM #10849, SGLang #40835)`, async () => {
    const executor = await GoldenExecutor.start(golden.directory);
    for (const [variant, { adapter, prompts, logits }] of Object.entries(golden.cases)) {
      const routes = adapter === null
        ? []
        : [await executor.adapter(golden.directory, `${golden.directory}/${adapter}`)];
      const { prompt = [], tokens = [] } = prompts[logits.prompt] ?? {};
      const text = [...prompt, ...tokens];
      const { slot } = await executor.open(1, text, routes);
      let at = 0;
      for (const position of logits.positions) {
        const some = text.slice(at, position + 1);
        const blocks = at === 0 ? Math.ceil(text.length / 16) : 0;
        await executor.step([{ slot, tokens: some, position: at, blocks }]);
        at = position + 1;
        const expected = golden.logits(variant, logits.prompt, position);
        assertClose(await executor.logits(), expected, LOGITS_ERROR, `${variant} at ${position}`);
      }
    }
  });

  Deno.test(`${architecture}: greedy tokens of all adapters and base rows in one batch equal PEFT's`, async () => {
    const executor = await GoldenExecutor.start(golden.directory, 2);
    const cases = Object.values(golden.cases);
    const paths = cases.flatMap(({ adapter }) => adapter ?? []);
    const routes = (await executor.adapters(
      golden.directory,
      paths.map((path) => `${golden.directory}/${path}`),
    )).values();
    const expected: number[][] = [];
    const sequences = cases.map(({ adapter, prompts }, i) => {
      const { prompt, tokens } = prompts[i % prompts.length] ?? { prompt: [], tokens: [] };
      expected.push(tokens);
      return executor.open(i, prompt, adapter === null ? [] : [...routes.take(1)]);
    });
    assertEquals(await executor.generate(sequences, 64, 7), expected);
  });
}
