import type { Compiler } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import type { ModelConfig } from "../../models/model_config.ts";

/** Where kernels are timed, and at which model's shapes. */
export interface KernelSite {
  readonly device: Device;
  readonly compiler: Compiler;
  readonly config: ModelConfig;
  readonly small: boolean;
}

/** One kernel at one size, bound and ready to be timed; what it was made with goes when it is disposed of. */
export interface KernelCase extends Disposable {
  /** With the numbers of its variant. */
  readonly kernel: string;
  /** The matrix, or whatever else its size follows from besides the rows. */
  readonly what: string;
  readonly rows: number;
  /** The least that must pass the memory. */
  readonly bytes: number;
  readonly flops: number;
  /** The arithmetic that its rate is over. */
  readonly peak: "fma" | "matrix";
  /** Run number `i`; inputs that are larger than the cache take turns. */
  run(pass: GPUComputePassEncoder, i: number): void;
  /** ||error|| / ||result|| against f64 on the inputs that are timed, of results spread through them. */
  error(): Promise<number>;
}

export type MakeCase = (site: KernelSite, rows: number) => Promise<KernelCase>;

/** One dispatch, the same each time. */
export const dispatching =
  (pipeline: GPUComputePipeline, group: GPUBindGroup, workgroups: readonly [number, number?]) =>
  (pass: GPUComputePassEncoder): void => {
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
  };
