import type { Compiler, Pipeline } from "../../kernels/compiler.ts";
import { grid } from "../../kernels/grid.ts";
import { quantize, quantizeJob } from "../../kernels/quantize/quantize.ts";
import { CHUNK_BYTES, type MatrixRows } from "../../models/stream_weights.ts";

/** Lanes of a row; rows are many. */
const LANES = 64;

/** Rounds rows of 16 bits to int8 as they arrive on the GPU: the host could not keep up with its own reads. */
export class WeightQuantizer {
  readonly #gpu: GPUDevice;
  readonly #pipeline: Pipeline<"job" | "staged" | "target_words">;
  readonly #bf16: boolean;
  readonly #job: GPUBuffer;
  /** Where whole rows lie, at most CHUNK_BYTES of them, when `round` is called. */
  readonly staged: GPUBuffer;

  private constructor(
    gpu: GPUDevice,
    pipeline: Pipeline<"job" | "staged" | "target_words">,
    bf16: boolean,
  ) {
    this.#gpu = gpu;
    this.#pipeline = pipeline;
    this.#bf16 = bf16;
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    this.#job = gpu.createBuffer({ label: "quantize job", size: 32, usage });
    this.staged = gpu.createBuffer({ label: "quantize rows", size: CHUNK_BYTES, usage });
  }

  static async create(gpu: GPUDevice, compiler: Compiler, bf16: boolean): Promise<WeightQuantizer> {
    const pipeline = await compiler.compile(quantize, { WORKGROUP: LANES });
    return new WeightQuantizer(gpu, pipeline, bf16);
  }

  /**
   * Enqueues the rounding of the rows that lie staged into `target`: int8 rows, then an f32 a row. In the order of the
   * queue: rows that are staged next overwrite what has been read.
   */
  round(target: GPUBuffer, rows: MatrixRows): void {
    const { queue } = this.#gpu;
    queue.writeBuffer(this.#job, 0, quantizeJob({ ...rows, bf16: this.#bf16 }));
    const encoder = this.#gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(this.#pipeline.pipeline);
    const buffers = { job: this.#job, staged: this.staged, target_words: target };
    pass.setBindGroup(0, this.#pipeline.bind(buffers));
    pass.dispatchWorkgroups(...grid(rows.rows));
    pass.end();
    queue.submit([encoder.finish()]);
  }

  destroy(): void {
    this.#job.destroy();
    this.staged.destroy();
  }
}
