import { assertEquals } from "@std/assert";
import { SafetensorsFile } from "../../../models/safetensors.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { goldens } from "../../support/goldens.ts";
import { writeRaw } from "../../support/write_safetensors.ts";

const CUT = ["model.embed_tokens.weight", "lm_head.weight"];

/** The checkpoint in `from` without the last `less` tokens of its vocabulary, as fine-tuners add odd numbers of them. */
async function cutVocabulary(from: string, to: string, less: number): Promise<number> {
  const config = JSON.parse(await Deno.readTextFile(`${from}/config.json`));
  config.vocab_size -= less;
  await Deno.writeTextFile(`${to}/config.json`, JSON.stringify(config));
  using file = SafetensorsFile.open(`${from}/model.safetensors`);
  const header: Record<string, unknown> = {};
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [name, { dtype, shape: [rows = 0, ...rest], bytes }] of file.tensors) {
    const kept = CUT.includes(name) ? rows - less : rows;
    const part = new Uint8Array(bytes / rows * kept);
    file.readInto(name, 0, part);
    header[name] = { dtype, shape: [kept, ...rest], data_offsets: [at, at += part.length] };
    parts.push(part);
  }
  writeRaw(
    `${to}/model.safetensors`,
    header,
    new Uint8Array(await new Blob(parts as BlobPart[]).arrayBuffer()),
  );
  return config.vocab_size;
}

Deno.test("a vocabulary of any size gives the logits that its tokens have in a larger one", async () => {
  const { directory } = goldens("mistral");
  const cut = await Deno.makeTempDir();
  try {
    const vocab = await cutVocabulary(directory, cut, 3);
    const logits = [];
    for (const model of [directory, cut]) {
      const executor = await GoldenExecutor.start(model);
      const sequences = [];
      for (const slot of [0, 1, 2]) sequences.push(await executor.open(slot, [5, 6, 7 + slot], []));
      for (const { slot, prompt } of sequences) {
        await executor.step([{ slot, tokens: prompt.slice(0, 2), position: 0, blocks: 1 }]);
      }
      await executor.step(
        sequences.map(({ slot, prompt }) => ({ slot, tokens: prompt.slice(2), position: 2 })),
      );
      logits.push(await executor.logits(3));
    }
    const [whole, odd] = logits;
    const stride = (whole?.length ?? 0) / 3;
    for (const row of [0, 1, 2]) {
      assertEquals(
        odd?.subarray(row * vocab, (row + 1) * vocab),
        whole?.subarray(row * stride, row * stride + vocab),
      );
    }
  } finally {
    await Deno.remove(cut, { recursive: true });
  }
});
