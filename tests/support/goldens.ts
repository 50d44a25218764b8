import { z } from "zod";
import { SafetensorsFile } from "../../models/safetensors.ts";

const Expected = z.object({
  architecture: z.string(),
  steps: z.number(),
  cases: z.record(
    z.string(),
    z.object({
      adapter: z.string().nullable(),
      prompts: z.array(z.object({ prompt: z.array(z.number()), tokens: z.array(z.number()) })),
      logits: z.object({ prompt: z.number(), positions: z.array(z.number()) }),
    }),
  ),
});

export const ARCHITECTURES = ["llama", "llama_untied", "mistral", "qwen2", "qwen3"] as const;
export const goldenDirectory = (name: string): string =>
  new URL(`../fixtures/goldens/${name}`, import.meta.url).pathname;

/** What transformers and PEFT computed in float32 on the fixture's 16-bit weights. */
export function goldens(architecture: string) {
  const directory = goldenDirectory(architecture);
  const text = Deno.readTextFileSync(`${directory}/expected.json`);
  const expected = Expected.parse(JSON.parse(text));
  return {
    directory,
    ...expected,
    /** Teacher-forced logits after `position` tokens + 1 of a case's prompt and its greedy continuation. */
    logits(variant: string, prompt: number, position: number): Float32Array {
      using file = SafetensorsFile.open(`${directory}/logits.safetensors`);
      const name = `${variant}/${prompt}/${position}`;
      const bytes = new Uint8Array(file.tensors.get(name)?.bytes ?? 0);
      file.readInto(name, 0, bytes);
      return new Float32Array(bytes.buffer);
    },
  };
}
