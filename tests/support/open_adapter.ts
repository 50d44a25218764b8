import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from "../../models/adapter_files.ts";
import type { Checkpoint } from "../../models/checkpoint.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import { parsePeftAdapter, type PeftAdapter } from "../../models/peft_adapter.ts";

/** A PEFT directory's adapter as the loader takes it, read at once. */
export function openAdapter(directory: string, model: ModelConfig, base: Checkpoint): PeftAdapter {
  const [config, weights] = [ADAPTER_CONFIG, ADAPTER_WEIGHTS].map((name) =>
    Deno.readFileSync(`${directory}/${name}`)
  ) as [Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>];
  return parsePeftAdapter({ directory, config, weights }, model, base);
}
