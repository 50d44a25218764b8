import type { Device } from "../../kernels/device.ts";
import { doraGainWork } from "../../kernels/dora_gain/dora_gain.ts";
import {
  ABSENT,
  HEADER_WORDS,
  type PackedPages,
  PAGE_LIST_WORD,
} from "../../models/adapter_image.ts";
import { pageLocation, type Pool, type PoolLayout } from "./gpu_buffers.ts";
import type { compileGains } from "./pipelines.ts";

export type Gains = Awaited<ReturnType<typeof compileGains>>;

/** Copies images into pages: one staging write a slice, then copies on the GPU, runs of pages together. */
export class AdapterUpload {
  readonly #device: Device;
  readonly #staging: GPUBuffer;
  /** Images lie in shared memory, which Dawn cannot be given: they pass through here. */
  readonly #host: Uint8Array<ArrayBuffer>;

  constructor(device: Device, stagingBytes: number) {
    this.#device = device;
    this.#host = new Uint8Array(stagingBytes);
    this.#staging = device.gpu.createBuffer({
      label: "adapter staging",
      size: stagingBytes,
      usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
    });
  }

  /** `pools[i]` gets copy i of the image; each copy's page list is filled in with `pages`. */
  upload(
    image: PackedPages,
    pools: readonly Pool[],
    layout: PoolLayout,
    pages: readonly number[],
  ): void {
    if (pages.length !== image.pages || pools.length !== image.copies) {
      throw new RangeError(
        `Cannot upload adapter: its image has ${image.copies} copies of ${image.pages} pages, ` +
          `received ${pools.length} pools and ${pages.length} pages`,
      );
    }
    const copyBytes = image.pages * layout.pageBytes;
    const list = new Uint8Array(Uint32Array.from(pages).buffer);
    const queue = this.#device.gpu.queue;
    const pagesAtOnce = Math.floor(this.#staging.size / layout.pageBytes);
    for (const [copy, pool] of pools.entries()) {
      for (let first = 0; first < pages.length; first += pagesAtOnce) {
        const some = pages.slice(first, first + pagesAtOnce);
        const start = copy * copyBytes + first * layout.pageBytes;
        const count = some.length * layout.pageBytes;
        this.#host.set(new Uint8Array(image.bytes, start, count));
        if (first === 0) this.#host.set(list, PAGE_LIST_WORD * 4);
        queue.writeBuffer(this.#staging, 0, this.#host, 0, count);
        const encoder = this.#device.gpu.createCommandEncoder({ label: "adapter upload" });
        for (const run of runs(some, layout.slabPages)) {
          const [slab, to] = pageLocation(pool, layout, run.page);
          const bytes = run.count * layout.pageBytes;
          encoder.copyBufferToBuffer(this.#staging, run.index * layout.pageBytes, slab, to, bytes);
        }
        queue.submit([encoder.finish()]);
      }
    }
  }

  /** Turns the DoRA magnitudes of an image just uploaded into gains, layer by layer. */
  gains(
    gains: Gains,
    image: PackedPages,
    pools: readonly Pool[],
    weights: ReadonlyMap<string, GPUBuffer>,
    job: GPUBuffer,
    firstPage: number,
  ): void {
    const queue = this.#device.gpu.queue;
    queue.writeBuffer(job, 0, Uint32Array.of(firstPage));
    const encoder = this.#device.gpu.createCommandEncoder({ label: "dora gains" });
    const pass = encoder.beginComputePass();
    for (const [layer, pool] of pools.entries()) {
      for (const { module, weight, out, pipeline } of gains) {
        if (!hasGain(image, layer, module)) continue;
        const w = weights.get(`layers.${layer}.${weight}`);
        if (!w) throw new RangeError(`Cannot compute DoRA gains: no weight ${weight}`);
        pass.setPipeline(pipeline.pipeline);
        pass.setBindGroup(0, pipeline.bind({ job, w, ...pool }));
        pass.dispatchWorkgroups(doraGainWork(out));
      }
    }
    pass.end();
    queue.submit([encoder.finish()]);
  }
}

function hasGain(image: PackedPages, layer: number, module: number): boolean {
  const copyBytes = image.bytes.byteLength / image.copies;
  const header = new Uint32Array(image.bytes, layer * copyBytes, (module + 1) * HEADER_WORDS);
  const at = module * HEADER_WORDS;
  return header[at] !== 0 && header[at + 5] !== ABSENT;
}

/** Consecutive pages within one slab. */
function* runs(pages: readonly number[], slabPages: number) {
  let run = { page: pages[0] ?? 0, index: 0, count: 0 };
  for (const [index, page] of pages.entries()) {
    if (page === run.page + run.count && (page !== slabPages || run.count === 0)) {
      run.count++;
      continue;
    }
    if (run.count > 0) yield run;
    run = { page, index, count: 1 };
  }
  if (run.count > 0) yield run;
}
