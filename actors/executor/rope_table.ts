import type { ModelConfig, RopeConfig } from "../../models/model_config.ts";

/**
 * (cos, sin) of position * theta_d for every position below `positions`: f32 [positions][headDim / 2][2].
 * Angles are rounded to f32 as transformers computes them; cos and sin are the host's, since a GPU's are
 * exact to 2^-11 only.
 */
export function ropeTable(
  config: Pick<ModelConfig, "rope" | "headDim">,
  positions: number,
): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(config.rope, config.headDim);
  const half = frequencies.length;
  const table = new Float32Array(positions * half * 2);
  for (let p = 0; p < positions; p++) {
    for (let d = 0; d < half; d++) {
      const angle = Math.fround(p * (frequencies[d] ?? 0));
      table[(p * half + d) * 2] = Math.cos(angle);
      table[(p * half + d) * 2 + 1] = Math.sin(angle);
    }
  }
  return table;
}

/**
 * theta_d = base^(-2d / headDim), scaled as Llama 3 does (transformers' modeling_rope_utils), rounded to f32
 * wherever transformers does.
 */
export function inverseFrequencies(rope: RopeConfig, headDim: number): Float32Array {
  const frequencies = new Float32Array(headDim / 2);
  for (let d = 0; d < frequencies.length; d++) {
    const power = Math.fround(Math.pow(rope.theta, Math.fround((2 * d) / headDim)));
    frequencies[d] = scaled(rope, Math.fround(1 / power));
  }
  return frequencies;
}

function scaled({ scaling }: RopeConfig, frequency: number): number {
  if (scaling === null) return frequency;
  if (scaling.kind === "linear") return frequency / scaling.factor;
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  const wavelength = (2 * Math.PI) / frequency;
  if (wavelength > originalMaxPositions / lowFreqFactor) return frequency / factor;
  if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
  const smooth = (originalMaxPositions / wavelength - lowFreqFactor) /
    (highFreqFactor - lowFreqFactor);
  return (1 - smooth) * (frequency / factor) + smooth * frequency;
}
