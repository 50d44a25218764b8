import { partialWords } from "../../kernels/attention_decode/attention_decode.ts";
import type { Device } from "../../kernels/device.ts";
import { MAX_RANK } from "../../models/adapter_image.ts";
import type { ModelConfig } from "../../models/model_config.ts";
import { RESULT_WORDS } from "../../kernels/sample/results.ts";
import { projectedRows } from "./linear_variants.ts";
import type { StepBounds } from "./step_bounds.ts";

/** Activations and per-slot state; names as the kernels' bindings use them. */
export type GpuBuffers = Readonly<Record<BufferName, GPUBuffer>>;
export type BufferName = (typeof NAMES)[number];
const NAMES = [
  "step",
  "h",
  "xn",
  "qkv",
  "q",
  "attention",
  "y",
  "gate_up",
  "a",
  "u",
  "partials",
  "logits",
  "scores",
  "results",
  "last_token",
  "counts",
  "rope",
  "none",
  "job",
] as const;

const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;

/** Bytes of each buffer, [tokens][width] in f32, but what projections read in f16. */
export function bufferBytes(
  config: ModelConfig,
  bounds: StepBounds,
): Readonly<Record<BufferName, number>> {
  const { maxTokens: tokens, maxLogitRows: rows, maxSlots: slots } = bounds;
  const { heads, kvHeads, headDim, hiddenSize, intermediateSize, vocabSize } = config;
  const projected = projectedRows(tokens);
  return {
    step: bounds.stepWords * 4,
    h: tokens * hiddenSize * 4,
    xn: tokens * hiddenSize * 2,
    qkv: projected * (heads + 2 * kvHeads) * headDim * 4,
    q: tokens * heads * headDim * 4,
    attention: tokens * heads * headDim * 2,
    y: projected * hiddenSize * 4,
    gate_up: projected * 2 * intermediateSize * 4,
    a: tokens * intermediateSize * 2,
    u: Math.max(tokens * 3, rows) * bounds.maxRoutes * MAX_RANK * 4,
    partials: partialWords(bounds.decodeItems, heads, headDim) * 4,
    logits: rows * vocabSize * 4,
    scores: rows * vocabSize * 4,
    results: rows * RESULT_WORDS * 4,
    last_token: slots * 4,
    counts: slots * vocabSize * 4,
    rope: bounds.maxModelLen * (headDim / 2) * 8,
    none: 16,
    job: 16,
  };
}

/** @throws {RangeError} naming the buffer that one binding of the device cannot hold. */
export function checkBuffers(
  { maxBinding }: Device["limits"],
  config: ModelConfig,
  bounds: StepBounds,
): void {
  for (const [label, bytes] of Object.entries(bufferBytes(config, bounds))) {
    const size = padded(bytes);
    if (size <= maxBinding) continue;
    throw new RangeError(
      `Cannot allocate buffer ${label}: the device binds at most ${maxBinding} bytes; ` +
        `lower max-batch-tokens, max-running or max-model-len, received ${size}`,
    );
  }
}

export function createBuffers(device: Device, config: ModelConfig, bounds: StepBounds): GpuBuffers {
  const bytes = bufferBytes(config, bounds);
  const create = (label: BufferName) =>
    device.gpu.createBuffer({
      label,
      size: padded(bytes[label]),
      usage: STORAGE,
    });
  return Object.fromEntries(NAMES.map((label) => [label, create(label)])) as GpuBuffers;
}

const padded = (bytes: number) => Math.max(16, Math.ceil(bytes / 16) * 16);

/** One layer's pool (or the head pool) in at most two slabs; the second is a dummy where one is enough. */
export interface Pool {
  readonly pool0: GPUBuffer;
  readonly pool1: GPUBuffer;
}

export interface PoolLayout {
  readonly pages: number;
  readonly pageBytes: number;
  readonly slabPages: number;
}

export function createPool(device: Device, layout: PoolLayout, label: string): Pool {
  const slab = (pages: number, name: string) =>
    device.gpu.createBuffer({
      label: name,
      size: Math.max(16, pages * layout.pageBytes),
      usage: STORAGE,
    });
  const first = Math.min(layout.pages, layout.slabPages);
  return {
    pool0: slab(first, `${label}.pool0`),
    pool1: slab(layout.pages - first, `${label}.pool1`),
  };
}
