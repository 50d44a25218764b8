import { Compiler } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import { ONE_SLAB } from "../../kernels/step_words.ts";
import { planBudget } from "../../memory/budget.ts";
import { pageGeometry } from "../../models/adapter_image.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import type { EngineOptions } from "../engine_options.ts";
import { Executor, type ExecutorParts } from "./executor.ts";
import { Forward } from "./forward.ts";
import { bufferBytes, createBuffers, createPool, type PoolLayout } from "./gpu_buffers.ts";
import { loadWeights } from "./load_weights.ts";
import { openGpu } from "./open_gpu.ts";
import { compilePipelines } from "./pipelines.ts";
import type { Event } from "./protocol.ts";
import { ropeTable } from "./rope_table.ts";
import { stepBounds } from "./step_bounds.ts";

type Progress = Extract<Event, { kind: "progress" }>;
type Ready = Extract<Event, { kind: "executor_ready" }>;

const SOFTWARE_POOL = 256 * 2 ** 20;
const GPU_POOL = 4 * 2 ** 30;

/**
 * Opens the GPU, loads the model, makes the pools and compiles every pipeline.
 * @throws {Error} with what the operator can do: no adapter, out of device memory, files that do not fit.
 */
export async function startExecutor(
  options: EngineOptions,
  onProgress: (progress: Progress) => void,
): Promise<{ executor: Executor; ready: Ready; parts: ExecutorParts }> {
  const config = await loadModelConfig(options.modelDirectory);
  const device = await openGpu(options.gpu);
  const geometry = pageGeometry(config.kvHeads, config.headDim);
  const bounds = stepBounds(options, config, geometry.pagesPerBlock);

  const compiler = new Compiler(device);
  const { weights, weightBytes, bf16, int8 } = await loadWeights(
    device,
    compiler,
    options.modelDirectory,
    config,
    options.dtype,
    (done, total) => onProgress({ kind: "progress", label: "weights", done, total, unit: "bytes" }),
  );
  const activations = Object.values(bufferBytes(config, bounds)).reduce((sum, n) => sum + n, 0);
  const budget = planBudget({
    layers: config.layers,
    ...geometry,
    deviceBytes: null,
    usedBytes: weightBytes + activations,
    maxBindingBytes: device.limits.maxBinding,
    poolBytes: options.poolBytes ?? (device.software ? SOFTWARE_POOL : GPU_POOL),
    headPoolBytes: options.headPoolBytes,
  });
  const { buffers, layerPools, headPool } = await orOutOfMemory(
    device,
    "buffers and page pools",
    () => ({
      buffers: createBuffers(device, config, bounds),
      layerPools: Array.from(
        { length: config.layers },
        (_, i) => createPool(device, budget.layer, `layers.${i}`),
      ),
      headPool: createPool(device, budget.head, "head"),
    }),
  );
  device.gpu.queue.writeBuffer(buffers.rope, 0, ropeTable(config, bounds.maxModelLen));

  const shape = {
    bf16,
    int8,
    pagesPerBlock: geometry.pagesPerBlock,
    layerPages: {
      PAGE_VECS: geometry.pageBytes / 16,
      SLAB_PAGES: firstSlab(budget.layer),
    },
    headPages: { PAGE_VECS: geometry.pageBytes / 16, SLAB_PAGES: firstSlab(budget.head) },
  };
  let compiled = 0;
  const total = 15 + 2 * new Set(config.slidingWindow).size;
  const pipelines = await compilePipelines(compiler, config, shape, () => {
    compiled++;
    onProgress({
      kind: "progress",
      label: "kernels",
      done: compiled,
      total: Math.max(total, compiled),
      unit: "pipelines",
    });
  });
  const forward = new Forward(config, pipelines, buffers, weights, layerPools, headPool);
  const parts: ExecutorParts = {
    device,
    compiler,
    config,
    bounds,
    shape,
    buffers,
    weights,
    layerPools,
    layerLayout: budget.layer,
    headPool,
    headLayout: budget.head,
    forward,
    uploadBytesPerStep: options.uploadBytesPerStep,
  };
  const executor = await Executor.create(parts);
  const ready: Ready = {
    kind: "executor_ready",
    provider: device.provider,
    device: device.description,
    software: device.software,
    layerPages: budget.layer.pages,
    headPages: budget.head.pages,
    pageBytes: geometry.pageBytes,
    pagesPerBlock: geometry.pagesPerBlock,
    maxModelLen: bounds.maxModelLen,
    maxLogitRows: bounds.maxLogitRows,
  };
  return { executor, ready, parts };
}

/** Runs `create` and turns the device's out-of-memory error into one the operator can act on. */
async function orOutOfMemory<T>(device: Device, what: string, create: () => T): Promise<T> {
  device.gpu.pushErrorScope("out-of-memory");
  device.gpu.pushErrorScope("validation");
  const created = create();
  const validation = await device.gpu.popErrorScope();
  const memory = await device.gpu.popErrorScope();
  const error = memory ?? validation;
  if (error) {
    throw new RangeError(
      `Cannot allocate ${what}: the device is out of memory; lower pool-bytes, max-batch-tokens or ` +
        `max-running, received "${error.message}"`,
    );
  }
  return created;
}

/** What kernels know of a pool's slabs; where one holds all pages, their compiler drops the choice between two. */
const firstSlab = ({ pages, slabPages }: PoolLayout): number =>
  pages <= slabPages ? ONE_SLAB : slabPages;
