import { Compiler } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import { Readback } from "../../kernels/readback.ts";
import { writeStep } from "../../kernels/step_words.ts";
import { RESULT_WORDS } from "../../kernels/sample/results.ts";
import { PREFILL_TILE } from "../../kernels/attention_prefill/attention_prefill.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import type { SlotId, StepId } from "../../memory/ids.ts";
import { AdapterUpload } from "./adapter_upload.ts";
import { Forward } from "./forward.ts";
import { compileGain, type GainPipeline } from "./gain_pipelines.ts";
import type { GpuBuffers, Pool, PoolLayout } from "./gpu_buffers.ts";
import type { PipelineShape } from "./pipelines.ts";
import type { StepBounds } from "./step_bounds.ts";
import { type PlanShape, planStep, type StepPlan } from "./step_plan.ts";
import type { Command, Row, SteppedRow, Uploaded } from "./protocol.ts";
import { steppedRows } from "./results.ts";
import { occurrences, openSlot, type Slot } from "./slots.ts";
import { StepTimer } from "./step_timer.ts";
import { type Slice, UploadQueue } from "./upload_queue.ts";

/** Everything an executor made at start and keeps until its process ends. */
export interface ExecutorParts {
  readonly device: Device;
  readonly compiler: Compiler;
  readonly config: ModelConfig;
  readonly bounds: StepBounds;
  readonly shape: PipelineShape;
  readonly buffers: GpuBuffers;
  readonly weights: ReadonlyMap<string, GPUBuffer>;
  readonly layerPools: readonly Pool[];
  readonly layerLayout: PoolLayout;
  readonly headPool: Pool;
  readonly headLayout: PoolLayout;
  /** Of adapters, between two steps. */
  readonly uploadBytesPerStep: number;
  readonly forward: Forward;
}

/** A step that is encoded and waits for its turn on the GPU. */
export interface PreparedStep {
  readonly step: StepId;
  readonly rows: readonly Row[];
  readonly plan: StepPlan;
  /** Of results to read back. */
  readonly bytes: number;
  readonly commands: GPUCommandBuffer;
  readonly timer: StepTimer;
}

/** Owns the GPU: runs steps, keeps slots, uploads adapters. Knows nothing of scheduling. */
export class Executor {
  readonly #parts: ExecutorParts;
  readonly #readback: Readback;
  readonly #upload: AdapterUpload;
  readonly #uploads: UploadQueue;
  /** What the first upload has taken so far. */
  #uploadBytes = 0;
  #uploadSeconds = 0;
  readonly #slots = new Map<SlotId, Slot>();
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #planShape: PlanShape;
  /** Of DoRA; each compiled when the first adapter needs it. */
  readonly #gains: GainPipeline[] = [];
  /** What the GPU refused, told by an event some time after the call. */
  #refusal: string | null = null;
  /** When a step was last read back. */
  #readAt = 0;

  private constructor(parts: ExecutorParts, readback: Readback, upload: AdapterUpload) {
    this.#parts = parts;
    parts.device.gpu.addEventListener("uncapturederror", (event) => {
      this.#refusal ??= (event as GPUUncapturedErrorEvent).error.message;
    });
    this.#readback = readback;
    this.#upload = upload;
    this.#uploads = new UploadQueue(parts.layerLayout.pageBytes);
    this.#words = new Uint32Array(parts.bounds.stepWords);
    const windows = parts.config.slidingWindow;
    this.#planShape = {
      kvHeads: parts.config.kvHeads,
      maxRoutes: parts.bounds.maxRoutes,
      window: windows.includes(null) ? null : Math.max(...windows.map((window) => window ?? 0)),
      tileTokens: PREFILL_TILE,
    };
  }

  static async create(parts: ExecutorParts): Promise<Executor> {
    const bytes = parts.bounds.maxLogitRows * RESULT_WORDS * 4;
    const { device, compiler, shape, uploadBytesPerStep } = parts;
    const pools = { layers: parts.layerPools, head: [parts.headPool] };
    const upload = await AdapterUpload.create(device, compiler, shape, pools, uploadBytesPerStep);
    return new Executor(parts, await Readback.create(device, bytes), upload);
  }

  /** Handles everything but `step`, in order with the steps; uploads wait until `uploadSome`. */
  apply(command: Exclude<Command, { kind: "step" }>): void {
    switch (command.kind) {
      case "open":
        return this.#open(command);
      case "close":
        this.#slots.delete(command.slot);
        return;
      case "upload":
        return this.#uploads.push(command);
      default:
        command satisfies never;
    }
  }

  /**
   * Everything of a step that can be done while the one before it runs: tables, upload, encoding.
   * Steps are prepared, submitted and finished in order; one is submitted and not finished, two where they overlap.
   */
  prepare({ step, rows }: Extract<Command, { kind: "step" }>): PreparedStep {
    const timer = new StepTimer();
    const { device, buffers, forward } = this.#parts;
    const slots = rows.map((row) => {
      const slot = this.#slots.get(row.slot);
      if (!slot) throw new RangeError(`Cannot run step: slot is not open, received ${row.slot}`);
      slot.pages.push(...row.newPages);
      return slot;
    });
    const plan = planStep(rows, slots, this.#planShape);
    const planes = forward.planes(plan.tables.tokenCount);
    const words = writeStep(this.#words, plan.tables, planes);
    device.gpu.queue.writeBuffer(buffers.step, 0, this.#words, 0, words);
    const encoder = device.gpu.createCommandEncoder({ label: `step ${step}` });
    const pass = encoder.beginComputePass();
    forward.encode(pass, plan);
    pass.end();
    const bytes = plan.tables.logitRows * RESULT_WORDS * 4;
    if (bytes > 0) this.#readback.copy(encoder, buffers.results, bytes);
    const commands = encoder.finish();
    timer.end("encode");
    return { step, rows, plan, bytes, commands, timer };
  }

  submit({ step, commands, timer }: PreparedStep): void {
    // A refused command buffer runs nothing and says so only here: results since then would be stale.
    if (this.#refusal !== null) {
      throw new Error(`Cannot run step ${step}: the GPU refused work: ${this.#refusal}`);
    }
    timer.begin();
    this.#parts.device.gpu.queue.submit([commands]);
  }

  /** A step may be submitted before the one ahead of it is finished. */
  get overlaps(): boolean {
    return this.#readback.overlaps;
  }

  /** What a submitted step sampled; with the built-in provider this blocks the thread until it is done. */
  async finish({ rows, plan, bytes, timer }: PreparedStep): Promise<readonly SteppedRow[]> {
    const results = bytes === 0 ? new ArrayBuffer(0) : await this.#readback.read(bytes);
    // Where steps overlap, this one had the GPU once the one before was done.
    timer.notBefore(this.#readAt);
    this.#readAt = performance.now();
    timer.end("gpu");
    const stepped = steppedRows(rows, plan, new Uint32Array(results));
    timer.end("read");
    return stepped;
  }

  /** One step on its own. */
  async step(command: Extract<Command, { kind: "step" }>): Promise<readonly SteppedRow[]> {
    const prepared = this.prepare(command);
    this.submit(prepared);
    return await this.finish(prepared);
  }

  /** Uploads wait. */
  get uploading(): boolean {
    return !this.#uploads.empty;
  }

  /**
   * Sends as many slices of the waiting uploads as go between two steps; what that completes. With `wait` the first may
   * take until earlier ones have been copied; without, slices that would wait stay for another time.
   */
  async uploadSome(wait = true): Promise<readonly Uploaded[]> {
    const { layerLayout: { pageBytes }, uploadBytesPerStep } = this.#parts;
    const done: Uploaded[] = [];
    for (let left = uploadBytesPerStep; left > 0;) {
      if (!this.#upload.ready && !(wait && left === uploadBytesPerStep)) break;
      // In place of the slice: running streams wait for one pipeline at most.
      const image = this.#uploads.first?.image;
      if (image?.dora && await this.#compileGain(image)) break;
      const start = performance.now();
      const slice = this.#uploads.next(Math.min(left, this.#upload.sliceBytes));
      if (!slice) break;
      const { adapter, layerPages, headPages } = slice.upload;
      await this.#upload.send(slice, slice.part === "layers" ? layerPages : headPages);
      if (slice.upload.image.dora) this.#computeGains(slice);
      left -= slice.pages * pageBytes;
      this.#uploadBytes += slice.pages * pageBytes;
      this.#uploadSeconds += (performance.now() - start) / 1000;
      if (!slice.last) continue;
      const [bytes, seconds] = [this.#uploadBytes, this.#uploadSeconds];
      done.push({ kind: "uploaded", adapter, bytes, seconds });
      this.#uploadBytes = this.#uploadSeconds = 0;
    }
    return done;
  }

  /** Compiles another of DoRA's pipelines; false where all that `image` needs are. */
  async #compileGain(image: AdapterImage): Promise<boolean> {
    const { compiler, config, shape } = this.#parts;
    const gain = await compileGain(compiler, config, shape, image, this.#gains);
    if (gain) this.#gains.push(gain);
    return gain !== null;
  }

  #computeGains(slice: Slice): void {
    const { weights, layerPools, headPool, buffers } = this.#parts;
    const { part, upload: { layerPages, headPages } } = slice;
    const [pools, [first]] = part === "layers" ? [layerPools, layerPages] : [[headPool], headPages];
    if (first === undefined) throw new RangeError("Cannot compute DoRA gains: received no pages");
    this.#upload.gains(this.#gains, slice, pools, weights, buffers.job, first);
  }

  #open(command: Extract<Command, { kind: "open" }>): void {
    const { device, buffers, config } = this.#parts;
    const slot = openSlot(command.slot, command.request, command.sampling, command.routes);
    this.#slots.set(command.slot, slot);
    if (!slot.counted) return;
    const counts = occurrences(config.vocabSize, command.prompt, command.generated);
    device.gpu.queue.writeBuffer(buffers.counts, command.slot * config.vocabSize * 4, counts);
  }
}
