import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { z } from "zod";
import type { Route } from "../../../actors/executor/protocol.ts";
import { SafetensorsFile } from "../../../models/safetensors.ts";
import { assertClose } from "../../support/close.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { goldenDirectory } from "../../support/goldens.ts";

const base = goldenDirectory("llama");
const directory = `${base}/combination`;
const Combination = z.object({
  cases: z.record(
    z.string(),
    z.object({
      weights: z.array(z.number()),
      prompts: z.array(z.object({ prompt: z.array(z.number()), tokens: z.array(z.number()) })),
      logits: z.object({ prompt: z.number(), positions: z.array(z.number()) }),
    }).partial({ weights: true }),
  ),
});

Deno.test("two routing entries a token compute what PEFT's cat combination of the adapters does", async () => {
  const { cases } = Combination.parse(
    JSON.parse(Deno.readTextFileSync(`${directory}/expected.json`)),
  );
  const golden = cases.cat;
  if (!golden) throw new Error("the fixture has no case cat");
  const executor = await GoldenExecutor.start(base);
  const [a, b] = [
    await executor.adapter(base, `${directory}/a`, 0.7),
    await executor.adapter(base, `${directory}/b`, -0.4),
  ];
  for (const [index, { prompt, tokens }] of golden.prompts.entries()) {
    const sequence = await executor.open(index, prompt, [a, b]);
    assertEquals(await executor.generate([sequence], tokens.length, 9), [tokens]);
  }
  using file = SafetensorsFile.open(`${directory}/logits.safetensors`);
  const { prompt = [], tokens = [] } = golden.prompts[golden.logits.prompt] ?? {};
  const text = [...prompt, ...tokens];
  const { slot } = await executor.open(9, text, [b, a]);
  let at = 0;
  for (const position of golden.logits.positions) {
    const blocks = at === 0 ? Math.ceil(text.length / 16) : 0;
    await executor.step([{ slot, tokens: text.slice(at, position + 1), position: at, blocks }]);
    at = position + 1;
    const name = `cat/${golden.logits.prompt}/${position}`;
    const bytes = new Uint8Array(file.tensors.get(name)?.bytes ?? 0);
    file.readInto(name, 0, bytes);
    assertClose(
      await executor.logits(),
      new Float32Array(bytes.buffer),
      2e-3,
      `position ${position}`,
    );
  }
});

/** How many of the ten sequences are at their prompt in the step that is looked at; the others decode. */
const PROMPTS = { "a decode step": 0, "a step of prompts": 10, "a step of both": 5 };

for (const [step, prompts] of Object.entries(PROMPTS)) {
  Deno.test(`base rows of ${step} are bit-identical whether the rows beside them have adapters or not (SGLang #28091)`, async () => {
    const variants = ["plain", "dora", "bias", "embed_head", "dora_embed_head"];
    const prompt = Array.from({ length: 21 }, (_, i) => (i * 37 + 11) % 300);
    /** Bits of the base rows' logits, and of the adapter rows', of a batch that mixes both. */
    const run = async (withAdapters: boolean) => {
      const executor = await GoldenExecutor.start(base, 1, { maxBatchTokens: 256 });
      const routes: Route[] = [];
      for (const variant of variants) {
        routes.push(await executor.adapter(base, `${base}/adapters/${variant}`));
      }
      const rows = [];
      for (let i = 0; i < 10; i++) {
        const route = i % 2 === 1 && withAdapters ? routes[(i - 1) / 2] : undefined;
        const { slot } = await executor.open(i, prompt, route ? [route] : []);
        const first = { slot, tokens: prompt, position: 0, blocks: 3 };
        if (i >= 10 - prompts) rows.push(first);
        else {
          await executor.step([first]);
          rows.push({ slot, tokens: [i + 5], position: prompt.length });
        }
      }
      await executor.step(rows);
      const logits = await executor.logits(10);
      const vocab = logits.length / 10;
      const row = (i: number) => new Uint32Array(logits.slice(i * vocab, (i + 1) * vocab).buffer);
      return { base: [0, 2, 4, 6, 8].map(row), adapted: [1, 3, 5, 7, 9].map(row) };
    };
    const [mixed, plain] = [await run(true), await run(false)];
    assertEquals(mixed.base, plain.base);
    assert(mixed.base.every((row) => row.some((bits) => bits !== 0)));
    mixed.adapted.forEach((row, i) => assertNotEquals(row, plain.adapted[i]));
  });
}
