import { z } from "zod";

/** What of an adapter_config.json decides the adapter's arithmetic. */
export interface PeftConfig {
  readonly rank: number;
  readonly alpha: number;
  readonly rsLora: boolean;
  readonly dora: boolean;
  readonly bias: boolean;
  /** First matching pattern wins, in the file's order. */
  readonly rankPattern: readonly (readonly [pattern: RegExp, rank: number])[];
  readonly alphaPattern: readonly (readonly [pattern: RegExp, alpha: number])[];
}

/** Says nothing about the result of inference, or is told by the tensors themselves. */
const HARMLESS = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "revision",
  "peft_version",
  "task_type",
  "inference_mode",
  "lora_dropout",
  "target_modules",
  "exclude_modules",
  "layers_to_transform",
  "layers_pattern",
  "megatron_core",
  "qalora_group_size",
]);

/** Initialisations after which W is still the base's own W. */
const PLAIN_INIT = [true, false, "gaussian", "orthogonal", "eva", "mica"];

const positive = z.number().positive();
const Lora = z.object({
  peft_type: z.literal("LORA"),
  r: z.number().int().positive(),
  lora_alpha: positive,
  use_rslora: z.boolean().nullish(),
  use_dora: z.boolean().nullish(),
  lora_bias: z.boolean().nullish(),
  bias: z.literal("none").nullish(),
  fan_in_fan_out: z.literal(false).nullish(),
  rank_pattern: z.record(z.string(), z.number().int().positive()).nullish(),
  alpha_pattern: z.record(z.string(), positive).nullish(),
  init_lora_weights: z.union([z.boolean(), z.string()]).nullish(),
});

/**
 * Reads adapter_config.json. Whatever it asks for that Chorus does not compute is an error, never skipped.
 * @throws {TypeError} naming the file, the key, its value and why.
 */
export function parsePeftConfig(json: unknown, source: string): PeftConfig {
  const refuse = (key: string, why: string, value: unknown): never => {
    throw new TypeError(
      `Cannot load adapter: ${source}: ${key}: ${why}, received ${JSON.stringify(value)}`,
    );
  };
  if (typeof json !== "object" || json === null) {
    refuse("adapter_config", "expected an object", json);
  }
  const entries = json as Record<string, unknown>;
  if (entries.peft_type !== "LORA") {
    refuse(
      "peft_type",
      "only LORA is supported (PEFT's convert_to_lora makes one)",
      entries.peft_type,
    );
  }
  const parsed = Lora.safeParse(json);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const key = String(issue?.path[0] ?? "adapter_config");
    refuse(key, issue?.message ?? "not valid", entries[key]);
  }
  for (const [key, value] of Object.entries(entries)) {
    if (key in Lora.shape || HARMLESS.has(key) || isUnset(value)) continue;
    refuse(key, "not supported", value);
  }
  const config = Lora.parse(json);
  const init = config.init_lora_weights ?? true;
  if (!PLAIN_INIT.includes(init)) {
    refuse(
      "init_lora_weights",
      "this initialisation takes the first A and B out of the base; save it with " +
        "path_initial_model_for_weight_conversion",
      init,
    );
  }
  const patterns = (record: Record<string, number> | null | undefined) =>
    Object.entries(record ?? {}).map(([key, value]) =>
      [new RegExp(`^(?:.*\\.)?(?:${key})$`), value] as const
    );
  return {
    rank: config.r,
    alpha: config.lora_alpha,
    rsLora: config.use_rslora ?? false,
    dora: config.use_dora ?? false,
    bias: config.lora_bias ?? false,
    rankPattern: patterns(config.rank_pattern),
    alphaPattern: patterns(config.alpha_pattern),
  };
}

function isUnset(value: unknown): boolean {
  return value === null || value === false || value === "" ||
    (typeof value === "object" && Object.keys(value as object).length === 0);
}

/** Rank and scale of a module: `alpha / r`, or `alpha / sqrt(r)` for rsLoRA (arXiv 2312.03732). */
export function rankAndScale(config: PeftConfig, module: string): { rank: number; scale: number } {
  const first = (patterns: PeftConfig["rankPattern"]) =>
    patterns.find(([pattern]) => pattern.test(module))?.[1];
  const rank = first(config.rankPattern) ?? config.rank;
  const alpha = first(config.alphaPattern) ?? config.alpha;
  return { rank, scale: config.rsLora ? alpha / Math.sqrt(rank) : alpha / rank };
}
