import { Compiler } from "../../kernels/compiler.ts";
import { ONE_SLAB } from "../../kernels/step_words.ts";
import { planBudget } from "../../memory/budget.ts";
import { pageGeometry } from "../../models/adapter_image.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import type { EngineOptions } from "../engine_options.ts";
import { Executor, type ExecutorParts } from "./executor.ts";
import { Forward } from "./forward.ts";
import { checkBuffers, createBuffers, createPool, type PoolLayout } from "./gpu_buffers.ts";
import { loadWeights, openWeights } from "./load_weights.ts";
import { openGpu } from "./open_gpu.ts";
import { orOutOfMemory } from "./or_out_of_memory.ts";
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
  checkBuffers(device.limits, config, bounds); // before minutes of loading

  using files = openWeights(options.modelDirectory, config, options.dtype);
  const { bf16, int8 } = files;
  const budget = planBudget({
    layers: config.layers,
    ...geometry,
    maxBindingBytes: device.limits.maxBinding,
    poolBytes: options.poolBytes ?? (device.software ? SOFTWARE_POOL : GPU_POOL),
    headPoolBytes: options.headPoolBytes,
  });
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
  const compiler = new Compiler(device);
  const load = () =>
    loadWeights(
      device,
      compiler,
      files,
      (done, total) =>
        onProgress({ kind: "progress", label: "weights", done, total, unit: "bytes" }),
    );
  const compile = () => {
    let done = 0;
    const total = 15 + 2 * new Set(config.slidingWindow).size;
    return compilePipelines(
      compiler,
      config,
      shape,
      bounds,
      () =>
        onProgress({ kind: "progress", label: "kernels", done: ++done, total, unit: "pipelines" }),
    );
  };
  const fill = async () => {
    const weights = await load();
    const pools = await orOutOfMemory(
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
    return { weights, ...pools };
  };
  // Where compiling takes other threads than this one, it goes on while this one reads.
  const [{ weights, buffers, layerPools, headPool }, pipelines] = device.compilations > 1
    ? await Promise.all([fill(), compile()])
    : [await fill(), await compile()];
  device.gpu.queue.writeBuffer(buffers.rope, 0, ropeTable(config, bounds.maxModelLen));

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
    pagesPerBlock: geometry.pagesPerBlock,
    maxModelLen: bounds.maxModelLen,
    maxLogitRows: bounds.maxLogitRows,
  };
  return { executor, ready, parts };
}

/** What kernels know of a pool's slabs; where one holds all pages, their compiler drops the choice between two. */
const firstSlab = ({ pages, slabPages }: PoolLayout): number =>
  pages <= slabPages ? ONE_SLAB : slabPages;
