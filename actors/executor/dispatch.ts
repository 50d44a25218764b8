import type { Pipeline } from "../../kernels/compiler.ts";
import { grid } from "../../kernels/grid.ts";
import { chooseVariant } from "./linear_variants.ts";
import type { Pipelines } from "./pipelines.ts";

/** A projection with all its variants. */
export type Linear = Pipelines["qkv"];

/** One dispatch: a pipeline, what it binds, and how many workgroups a step needs of it. */
export interface Dispatch {
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: (step: StepCounts) => readonly [number, number?, number?];
}

/** A projection's place, bound for each of its variants; a step runs the one that fits its rows. */
export interface LinearPlace {
  readonly linear: Linear;
  readonly groups: readonly GPUBindGroup[];
}

/** Numbers of a step that sizes of dispatches follow from. */
export interface StepCounts {
  readonly tokens: number;
  readonly logitRows: number;
  /** By module. */
  readonly shrinkItems: readonly number[];
  readonly headShrinkItems: number;
  readonly decodeItems: number;
  readonly decodeRows: number;
  readonly prefillTiles: number;
}

/** What a step writes of it, if it needs any workgroup. */
export function* dispatched(
  { name, pipeline }: Pipeline,
  group: GPUBindGroup,
  [x, y = 1, z = 1]: readonly [number, number?, number?],
) {
  if (x * y * z === 0) return;
  const write = (pass: GPUComputePassEncoder) => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(x, y, z);
  };
  yield { name, write };
}

/** What all layers' dispatches of a projection have in common in one step. */
export interface Chosen {
  /** Among its variants. */
  readonly index: number;
  readonly pipeline: Pipeline;
  readonly workgroups: readonly [number, number?, number?];
}

/** The variant that fits a step's rows. */
export function choose(
  { out, modules: [from, to], head, variants }: Linear,
  step: StepCounts,
): Chosen {
  const rows = head ? step.logitRows : step.tokens;
  const shrinkItems = head
    ? step.headShrinkItems
    : step.shrinkItems.slice(from, to).reduce((sum, items) => sum + items, 0);
  const variant = chooseVariant(variants, rows, out);
  if (!variant) {
    throw new RangeError(`Cannot run step: no projection takes its rows, received ${rows}`);
  }
  const { pipeline, work } = variant;
  return {
    index: variants.indexOf(variant),
    pipeline,
    workgroups: grid(work(rows, out, shrinkItems)),
  };
}
