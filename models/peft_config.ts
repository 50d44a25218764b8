import { z } from "zod";
import { PEFT_TARGETS, targetMatcher } from "./peft_targets.ts";
import { pythonPattern } from "./python_pattern.ts";

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
  /** Whether a module is adapted, by its path; null where only the tensors tell. */
  readonly targets: ((module: string) => boolean) | null;
}

/** Says nothing about the result of inference: how training began is told by init_lora_weights alone. */
const HARMLESS = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "revision",
  "peft_version",
  "task_type",
  "inference_mode",
  "lora_dropout",
  "megatron_core",
  "qalora_group_size",
  "eva_config",
  "corda_config",
  "lora_ga_config",
]);

/** Initialisations after which W is still the base's own W. */
const PLAIN_INIT = [true, false, "gaussian", "orthogonal", "eva", "mica"];

const positive = z.number().positive()
  .refine(
    (alpha) => alpha < 2 ** 100 && alpha > 2 ** -100,
    "expected a number between 2^-100 and 2^100",
  );
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
  init_lora_weights: z.union([z.boolean(), z.string().toLowerCase()]).nullish(),
  ...PEFT_TARGETS,
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
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return refuse("adapter_config", "expected an object", json);
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
    return refuse(key, issue?.message ?? "not valid", entries[key]);
  }
  const config = parsed.data;
  for (const [key, value] of Object.entries(entries)) {
    if (key in Lora.shape || HARMLESS.has(key) || isUnset(value)) continue;
    refuse(key, "not supported", value);
  }
  const init = config.init_lora_weights ?? true;
  if (!PLAIN_INIT.includes(init)) {
    refuse(
      "init_lora_weights",
      "this initialisation takes the first A and B out of the base; save it with " +
        "path_initial_model_for_weight_conversion",
      entries.init_lora_weights,
    );
  }
  const understand = <T>(key: string, read: () => T): T => {
    try {
      return read();
    } catch (error) {
      return refuse(key, `not a pattern: ${(error as Error).message}`, entries[key]);
    }
  };
  const patterns = (key: "rank_pattern" | "alpha_pattern") =>
    understand(
      key,
      () =>
        Object.entries(config[key] ?? {}).map(([pattern, value]) =>
          [pythonPattern(`(?:.*\\.)?(?:${pattern})`), value] as const
        ),
    );
  return {
    rank: config.r,
    alpha: config.lora_alpha,
    rsLora: config.use_rslora ?? false,
    dora: config.use_dora ?? false,
    bias: config.lora_bias ?? false,
    rankPattern: patterns("rank_pattern"),
    alphaPattern: patterns("alpha_pattern"),
    targets: understand("target_modules", () => targetMatcher(config)),
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
