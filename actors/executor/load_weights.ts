import type { Compiler } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import { UploadRing } from "../../kernels/upload_ring.ts";
import { UploadWrites } from "../../kernels/upload_writes.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import {
  bufferBytes,
  checkWeights,
  CHUNK_BYTES,
  streamWeights,
  type WantedDtype,
  type WeightDtype,
} from "../../models/stream_weights.ts";
import { type WeightBuffer, weightPlan } from "../../models/weight_plan.ts";
import { WeightQuantizer } from "./weight_quantizer.ts";

/** What the headers of a checkpoint's files say of the buffers to fill. */
export interface WeightFiles extends Disposable {
  readonly checkpoint: Checkpoint;
  readonly plan: readonly WeightBuffer[];
  readonly dtype: WeightDtype;
  readonly weightBytes: number;
  /** What is in 16 bits is bf16 rather than f16. */
  readonly bf16: boolean;
  /** Projections are int8. */
  readonly int8: boolean;
}

/** @throws {Error} for files that lack a tensor of this model, or have one of another shape or type. */
export function openWeights(
  directory: string,
  config: ModelConfig,
  wanted: WantedDtype,
): WeightFiles {
  const int8 = wanted === "int8";
  const checkpoint = Checkpoint.open(directory);
  try {
    const plan = weightPlan(config, int8 ? "int8" : "matrix");
    const dtype = checkWeights(checkpoint, plan, config.tiedEmbeddings, wanted);
    const weightBytes = plan.reduce((sum, buffer) => sum + bufferBytes(buffer), 0);
    const end = () => checkpoint[Symbol.dispose]();
    return {
      checkpoint,
      plan,
      dtype,
      weightBytes,
      bf16: dtype === "bf16",
      int8,
      [Symbol.dispose]: end,
    };
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}

/** Chunks that lie between the file and the GPU's copy of them, where memory can be mapped. */
const UNDER_WAY = 4;
/** Progress is told this often. */
const TOLD_BYTES = 128 * 2 ** 20;

/** Streams a checkpoint to the GPU, chunk by chunk; what shall be int8 is rounded there. */
export async function loadWeights(
  device: Device,
  compiler: Compiler,
  { checkpoint, plan, dtype, weightBytes, bf16, int8 }: WeightFiles,
  onProgress: (doneBytes: number, totalBytes: number) => void,
): Promise<ReadonlyMap<string, GPUBuffer>> {
  const weights = new Map<string, GPUBuffer>();
  device.gpu.pushErrorScope("out-of-memory");
  for (const buffer of plan) {
    const size = Math.ceil(bufferBytes(buffer) / 16) * 16;
    if (size > device.limits.maxBinding) {
      throw new RangeError(
        `Cannot load model: the device binds at most ${device.limits.maxBinding} bytes, ` +
          `received ${size} for ${buffer.name}`,
      );
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
    weights.set(buffer.name, device.gpu.createBuffer({ label: buffer.name, size, usage }));
  }
  const error = await device.gpu.popErrorScope();
  if (error) {
    throw new RangeError(
      `Cannot load model: its weights do not fit into the device's memory, received ${weightBytes} bytes`,
    );
  }
  const quantizer = int8 ? await WeightQuantizer.create(device.gpu, compiler, bf16) : null;
  const uploads = device.provider === "dawn"
    ? new UploadRing(device, CHUNK_BYTES, UNDER_WAY)
    : await UploadWrites.create(device, CHUNK_BYTES);
  let done = 0;
  let told = 0;
  onProgress(0, weightBytes);
  for (const chunk of streamWeights(checkpoint, plan, dtype)) {
    const { buffer, offset, bytes, rows, read } = chunk;
    const target = weights.get(buffer);
    if (!target) throw new RangeError(`Cannot load model: no buffer ${buffer}`);
    await uploads.write(quantizer && rows ? quantizer.staged : target, offset, bytes, read);
    if (rows) quantizer?.round(target, rows);
    done += rows ? rows.rows * (rows.input + 4) : bytes;
    if (done - told < TOLD_BYTES) continue;
    told = done;
    onProgress(done, weightBytes);
  }
  await uploads.end();
  onProgress(weightBytes, weightBytes);
  quantizer?.destroy();
  return weights;
}
