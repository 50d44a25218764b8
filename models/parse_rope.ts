import { z } from "zod";
import type { RopeConfig } from "./model_config.ts";

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

/**
 * Angles of a model whose own theta is `theta`.
 * @throws {TypeError} naming the key that the type needs.
 */
export function parseRope(
  rope: z.infer<typeof RopeParameters>,
  theta: number,
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
  const own = rope.rope_theta ?? theta;
  if (type === "default") return { theta: own, scaling: null };
  if (type === "linear") return { theta: own, scaling: { kind: "linear", factor: need("factor") } };
  return {
    theta: own,
    scaling: {
      kind: "llama3",
      factor: need("factor"),
      lowFreqFactor: need("low_freq_factor"),
      highFreqFactor: need("high_freq_factor"),
      originalMaxPositions: need("original_max_position_embeddings"),
    },
  };
}
