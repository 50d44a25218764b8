import type { ModelConfig } from "../../models/model_config.ts";
import type { Linear, LinearPlace } from "./dispatch.ts";
import type { GpuBuffers, Pool } from "./gpu_buffers.ts";
import type { Pipelines } from "./pipelines.ts";

/** What dispatches are bound to. */
export interface ForwardSite {
  readonly config: ModelConfig;
  readonly pipelines: Pipelines;
  readonly buffers: GpuBuffers;
  /** @throws {RangeError} for one that the model has not. */
  weight(name: string): GPUBuffer;
}

/** A projection `x` W = `y` with all its variants bound; their shrink reads adapters from `pool`. */
export function bindLinear(
  { buffers: { step, u } }: ForwardSite,
  linear: Linear,
  { x, w, y }: { readonly x: GPUBuffer; readonly w: GPUBuffer; readonly y: GPUBuffer },
  pool: Pool,
): LinearPlace {
  const bound = { step, x, w, y, u, ...pool };
  return { linear, groups: linear.variants.map(({ pipeline }) => pipeline.bind(bound)) };
}
