import type { Compiler, Pipeline } from "../../kernels/compiler.ts";
import type { Device } from "../../kernels/device.ts";
import {
  imageScatter,
  imageScatterWorkgroups,
  SCATTER_HEADER,
  SCATTER_LANES,
} from "../../kernels/image_scatter/image_scatter.ts";
import { UploadRing } from "../../kernels/upload_ring.ts";
import { ABSENT, HEADER_WORDS, type PackedPages } from "../../models/adapter_image.ts";
import type { GainPipeline } from "./gain_pipelines.ts";
import type { Pool } from "./gpu_buffers.ts";
import type { PipelineShape } from "./pipelines.ts";
import type { Slice } from "./upload_queue.ts";

/** More at once would only take memory: the copies on the GPU are many times faster than the host's. */
const LARGEST_SLICE = 64 * 2 ** 20;
/** Those of the step that runs and of the one before it, whose copies may not have ended; and as many more. */
const SLICES_UNDER_WAY = 4;
const STAGING = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;

interface Target {
  readonly pipeline: Pipeline;
  /** One a copy. */
  readonly groups: readonly GPUBindGroup[];
}

/** Copies slices of images into pages: one write into staging, then a dispatch a copy scatters them. */
export class AdapterUpload {
  /** Bytes of the largest slice, a whole number of pages. */
  readonly sliceBytes: number;
  readonly #device: Device;
  readonly #pageBytes: number;
  readonly #staging: GPUBuffer;
  readonly #job: GPUBuffer;
  readonly #targets: Readonly<Record<Slice["part"], Target>>;
  /** Images lie in shared memory, which Dawn cannot be given: there they go through mapped buffers. */
  readonly #ring: UploadRing | null;

  private constructor(
    device: Device,
    pageBytes: number,
    buffers: { readonly staging: GPUBuffer; readonly job: GPUBuffer },
    targets: Readonly<Record<Slice["part"], Target>>,
  ) {
    this.#device = device;
    this.#pageBytes = pageBytes;
    this.#staging = buffers.staging;
    this.#job = buffers.job;
    this.#targets = targets;
    this.sliceBytes = buffers.staging.size;
    this.#ring = device.provider === "dawn"
      ? new UploadRing(device, this.sliceBytes, SLICES_UNDER_WAY)
      : null;
  }

  /** `pools[part][c]` takes copy c of that part of an image; slices have at most `sliceBytes`. */
  static async create(
    device: Device,
    compiler: Compiler,
    shape: PipelineShape,
    pools: Readonly<Record<Slice["part"], readonly Pool[]>>,
    sliceBytes: number,
  ): Promise<AdapterUpload> {
    const pageBytes = shape.layerPages.PAGE_VECS * 16;
    const pages = Math.max(1, Math.floor(Math.min(sliceBytes, LARGEST_SLICE) / pageBytes));
    const buffer = (label: string, size: number) =>
      device.gpu.createBuffer({ label, size, usage: STAGING });
    const staging = buffer("adapter staging", pages * pageBytes);
    // A page list fits into one page.
    const job = buffer("adapter pages", SCATTER_HEADER * 4 + pageBytes);
    const indices = pools.layers.map((_, i) => {
      const index = buffer("copy", 16);
      device.gpu.queue.writeBuffer(index, 0, Uint32Array.of(i, 0, 0, 0));
      return index;
    });
    const target = async (
      some: readonly Pool[],
      pages: PipelineShape["layerPages"],
    ): Promise<Target> => {
      const constants = { WORKGROUP: SCATTER_LANES, ...pages };
      const pipeline = await compiler.compile(imageScatter, constants);
      const groups = some.flatMap((pool, i) => {
        const copy_index = indices[i];
        return copy_index ? [pipeline.bind({ copy_index, job, staged: staging, ...pool })] : [];
      });
      return { pipeline, groups };
    };
    return new AdapterUpload(device, pageBytes, { staging, job }, {
      layers: await target(pools.layers, shape.layerPages),
      head: await target(pools.head, shape.headPages),
    });
  }

  /** `send` waits for nothing: so many slices are not on their way at once. */
  get ready(): boolean {
    return this.#ring?.ready ?? true;
  }

  /** Sends one slice to the GPU; `pages` are those of a whole copy. */
  async send(
    { part, packed, first, pages: count }: Slice,
    pages: readonly number[],
  ): Promise<void> {
    const { gpu } = this.#device;
    const { pipeline, groups } = this.#targets[part];
    const start = first * this.#pageBytes;
    const bytes = count * this.#pageBytes;
    const source = new Uint8Array(packed.bytes, start, bytes);
    if (this.#ring) await this.#ring.write(this.#staging, 0, bytes, (memory) => memory.set(source));
    else {
      // Built-in WebGPU reads shared memory as it is, only its types do not say so.
      gpu.queue.writeBuffer(this.#staging, 0, source as unknown as Uint8Array<ArrayBuffer>);
    }
    const header = [first, count, pages.length, 0];
    gpu.queue.writeBuffer(this.#job, 0, Uint32Array.from([...header, ...pages]));
    const encoder = gpu.createCommandEncoder({ label: "adapter slice" });
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline.pipeline);
    for (let copy = Math.floor(first / packed.pages); copy < packed.copies; copy++) {
      const from = Math.max(first, copy * packed.pages);
      const to = Math.min(first + count, (copy + 1) * packed.pages);
      if (from >= to) break;
      const group = groups[copy];
      if (!group) throw noPool(copy, groups.length);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...imageScatterWorkgroups(this.#pageBytes / 16, to - from));
    }
    pass.end();
    gpu.queue.submit([encoder.finish()]);
  }

  /** Turns the DoRA magnitudes of the copies that `slice` completes into gains; `pools` as its part has them. */
  gains(
    gains: readonly GainPipeline[],
    { part, packed, first, pages: count }: Slice,
    pools: readonly Pool[],
    weights: ReadonlyMap<string, GPUBuffer>,
    job: GPUBuffer,
    firstPage: number,
  ): void {
    const queue = this.#device.gpu.queue;
    queue.writeBuffer(job, 0, Uint32Array.of(firstPage));
    const encoder = this.#device.gpu.createCommandEncoder({ label: "dora gains" });
    const pass = encoder.beginComputePass();
    const complete = Math.floor((first + count) / packed.pages);
    for (let copy = Math.floor(first / packed.pages); copy < complete; copy++) {
      const pool = pools[copy];
      if (!pool) throw noPool(copy, pools.length);
      for (const gain of gains) {
        if (gain.part !== part || !hasGain(packed, copy, gain.module)) continue;
        const w = gain.weight(weights, copy);
        if (!w) throw new RangeError(`Cannot compute DoRA gains: no weight of ${gain.name}`);
        pass.setPipeline(gain.pipeline.pipeline);
        pass.setBindGroup(0, gain.pipeline.bind({ job, w, ...pool }));
        pass.dispatchWorkgroups(...gain.workgroups);
      }
    }
    pass.end();
    queue.submit([encoder.finish()]);
  }
}

function hasGain(image: PackedPages, copy: number, module: number): boolean {
  const copyBytes = image.bytes.byteLength / image.copies;
  const header = new Uint32Array(image.bytes, copy * copyBytes, (module + 1) * HEADER_WORDS);
  const at = module * HEADER_WORDS;
  return header[at] !== 0 && header[at + 5] !== ABSENT;
}

const noPool = (copy: number, pools: number) =>
  new RangeError(
    `Cannot upload adapter: there are ${pools} pools of its part, received copy ${copy}`,
  );
