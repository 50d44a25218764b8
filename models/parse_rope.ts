import { z } from "zod";
import type { RopeConfig } from "./model_config.ts";

const DEFAULT_THETA = 10000;
const factor = z.number().positive().nullish();

/**
 * config.json's `rope_parameters` or `rope_scaling`; an unknown key, such as a layer type with frequencies
 * of its own, would change the angles.
 */
export const RopeParameters = z.strictObject({
  rope_type: z.enum(["default", "linear", "llama3"]).nullish(),
  type: z.enum(["default", "linear", "llama3"]).nullish(),
  rope_theta: factor,
  factor,
  low_freq_factor: factor,
  high_freq_factor: factor,
  original_max_position_embeddings: z.number().int().positive().nullish(),
  partial_rotary_factor: z.literal(1).nullish(),
});

/** What else of a config.json decides the angles. */
export interface RopeContext {
  readonly rope_theta?: number | null | undefined;
  readonly original_max_position_embeddings?: number | null | undefined;
  readonly max_position_embeddings: number;
}

/**
 * Angles by transformers' rules: a length beside the parameters goes before theirs, and the model's own
 * length is the last resort.
 * @throws {TypeError} naming the key that the type needs.
 */
export function parseRope(
  rope: z.infer<typeof RopeParameters>,
  model: RopeContext,
  source: string,
): RopeConfig {
  const type = rope.rope_type ?? rope.type ?? "default";
  const need = (key: keyof typeof rope): number => {
    const value = rope[key];
    if (typeof value === "number") return value;
    throw new TypeError(
      `Cannot load model: ${source}: rope type ${type} needs ${key}, received ${value}`,
    );
  };
  const theta = rope.rope_theta ?? model.rope_theta ?? DEFAULT_THETA;
  if (type === "default") return { theta, scaling: null };
  if (type === "linear") return { theta, scaling: { kind: "linear", factor: need("factor") } };
  const [low, high] = [need("low_freq_factor"), need("high_freq_factor")];
  if (low >= high) {
    throw new TypeError(
      `Cannot load model: ${source}: high_freq_factor must be above low_freq_factor, ${low}, ` +
        `received ${high}`,
    );
  }
  return {
    theta,
    scaling: {
      kind: "llama3",
      factor: need("factor"),
      lowFreqFactor: low,
      highFreqFactor: high,
      originalMaxPositions: model.original_max_position_embeddings ??
        rope.original_max_position_embeddings ?? model.max_position_embeddings,
    },
  };
}
