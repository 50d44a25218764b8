import type { Executor, ExecutorParts, PreparedStep } from "../../actors/executor/executor.ts";
import type { Route, Row } from "../../actors/executor/protocol.ts";
import { GREEDY } from "../../actors/sampling.ts";
import { adapterId, type PageId, pageId, requestId, slotId, stepId } from "../../memory/ids.ts";
import { type AdapterImage, pageGeometry } from "../../models/adapter_image.ts";
import { type KernelTime, profileDispatches } from "./profile_dispatches.ts";
import { createTimer, type Timer } from "./timer.ts";

export interface StepRunnerOptions {
  readonly executor: Executor;
  readonly parts: ExecutorParts;
  /** Tokens that a decode step finds in each sequence. */
  readonly context: number;
  /** Most rows of a decode step. */
  readonly rows: number;
  readonly small: boolean;
}

/** Seconds; of a step, from one step's results to the next one's. */
export interface DecodeTime {
  readonly step: number;
  /** Of these the host's, which the GPU waits for only where it has nothing else to do. */
  readonly encode: number;
  readonly submit: number;
}

/** Runs steps of an executor as its loop does, and times them. */
export class StepRunner {
  readonly #options: StepRunnerOptions;
  readonly #timer: Timer;
  readonly #tables: readonly (readonly PageId[])[];
  #nextPage = 0;

  private constructor(options: StepRunnerOptions, timer: Timer) {
    this.#options = options;
    this.#timer = timer;
    const blocks = Math.ceil((options.context + 64) / 16);
    this.#tables = Array.from({ length: options.rows }, () => this.#takeBlocks(blocks));
  }

  static async create(options: StepRunnerOptions): Promise<StepRunner> {
    fillPools(options.parts);
    return new StepRunner(options, await createTimer(options.parts.device));
  }

  get pagesUsed(): number {
    return this.#nextPage;
  }

  /** Uploads adapters and calls `run` with their routes; afterwards their pages are free again. */
  async withAdapters<T>(
    images: readonly AdapterImage[],
    run: (routes: readonly Route[]) => Promise<T>,
  ): Promise<T> {
    const mark = this.#nextPage;
    const routes: Route[] = [];
    for (const image of images) routes.push(await this.#place(image));
    try {
      return await run(routes);
    } finally {
      this.#nextPage = mark;
    }
  }

  /** A decode step of `batch` rows, among steps that follow each other. */
  async decode(batch: number, routeOf: (row: number) => readonly Route[]): Promise<DecodeTime> {
    const { executor, small } = this.#options;
    for (let slot = 0; slot < batch; slot++) this.#open(slot, routeOf(slot));
    const host = { encode: 0, submit: 0, steps: 0 };
    const prepare = (first: boolean) => {
      const start = performance.now();
      const prepared = this.#prepare(batch, first);
      host.encode += performance.now() - start;
      host.steps++;
      return prepared;
    };
    const submit = (step: PreparedStep) => {
      const start = performance.now();
      executor.submit(step);
      host.submit += performance.now() - start;
    };
    // As the executor's loop runs them: the next step is prepared while this one runs.
    let running = prepare(true);
    submit(running);
    const steps = small ? 2 : 8;
    const seconds = await this.#median(async () => {
      for (let i = 0; i < steps; i++) {
        const next = prepare(false);
        if (executor.overlaps) submit(next);
        await executor.finish(running);
        if (!executor.overlaps) submit(next);
        running = next;
      }
    }, small ? 1 : 9);
    await executor.finish(running);
    const each = (ms: number) => ms / host.steps / 1e3;
    return { step: seconds / steps, encode: each(host.encode), submit: each(host.submit) };
  }

  /** GPU seconds of the last step that `decode` ran, steps back to back: what wall time exceeds it by is idle. */
  async gpuSeconds(batch: number): Promise<number> {
    const { parts: { forward }, small } = this.#options;
    const { plan } = await this.#run(this.#prepare(batch, false));
    return await this.#timer.time((pass) => forward.encode(pass, plan), small ? 1 : 3);
  }

  /** GPU time of each kernel of a decode step. */
  async profile(
    batch: number,
    routeOf: (row: number) => readonly Route[] = () => [],
  ): Promise<Map<string, KernelTime>> {
    const { parts: { forward, device } } = this.#options;
    await this.decode(batch, routeOf);
    const { plan } = await this.#run(this.#prepare(batch, false));
    const dispatches = [...forward.dispatches(plan)];
    await this.#timer.time(() => {}, 1);
    return await profileDispatches(device, dispatches);
  }

  /** Seconds of a step with a prompt of `count` tokens, of a sequence with these routes. */
  async prefill(count: number, routes: readonly Route[] = []): Promise<number> {
    const { executor, parts: { config }, small } = this.#options;
    this.#open(0, routes);
    let newPages = this.#takeBlocks(Math.ceil(count / 16));
    const tokens = Array.from({ length: count }, (_, i) => i % config.vocabSize);
    return await this.#median(async () => {
      const row = {
        ...{ slot: slotId(0), tokens, position: 0, newPages },
        ...{ sample: true, promptTargets: null },
      };
      newPages = [];
      await executor.step({ kind: "step", step: stepId(1), rows: [row] });
    }, small ? 1 : 3);
  }

  /** Seconds of a step with `batch` decode rows and, unless `count` is 0, a prompt of so many tokens beside them. */
  async mixed(batch: number, count: number): Promise<number> {
    const { executor, parts: { config }, small } = this.#options;
    for (let slot = 0; slot <= batch; slot++) this.#open(slot, []);
    const mark = this.#nextPage;
    let newPages = this.#takeBlocks(Math.ceil(count / 16));
    const tokens = Array.from({ length: count }, (_, i) => i % config.vocabSize);
    let first = true;
    const seconds = await this.#median(async () => {
      const prompt = {
        ...{ slot: slotId(batch), tokens, position: 0, newPages },
        ...{ sample: true, promptTargets: null },
      };
      const rows = [...this.#decodeRows(batch, first), ...count > 0 ? [prompt] : []];
      newPages = [];
      first = false;
      await executor.step({ kind: "step", step: stepId(1), rows });
    }, small ? 1 : 3);
    this.#nextPage = mark;
    return seconds;
  }

  #takeBlocks(blocks: number): PageId[] {
    const { config } = this.#options.parts;
    return this.#takePages(blocks * pageGeometry(config.kvHeads, config.headDim).pagesPerBlock);
  }

  #takePages(count: number): PageId[] {
    return Array.from({ length: count }, () => pageId(this.#nextPage++));
  }

  async #place(image: AdapterImage): Promise<Route> {
    const { executor } = this.#options;
    const layerPages = this.#takePages(image.layers?.pages ?? 0);
    const adapter = adapterId(`at ${layerPages[0]}`);
    executor.apply({ kind: "upload", adapter, image, layerPages, headPages: [] });
    while (executor.uploading) await executor.uploadSome();
    const { moduleRanks, headRanks } = image;
    const layerPage = layerPages[0] ?? null;
    return { adapter, weight: 1, layerPage, headPage: null, moduleRanks, headRanks };
  }

  #open(slot: number, routes: readonly Route[]): void {
    this.#options.executor.apply({
      ...{ kind: "open", slot: slotId(slot), request: requestId(`r${slot}`), routes },
      ...{ sampling: GREEDY, prompt: [], generated: [] },
    });
  }

  #prepare(batch: number, first: boolean): PreparedStep {
    const rows = this.#decodeRows(batch, first);
    return this.#options.executor.prepare({ kind: "step", step: stepId(1), rows });
  }

  /** The next token of each of the rows; `first` where they were just opened. */
  #decodeRows(batch: number, first: boolean): Row[] {
    return Array.from({ length: batch }, (_, slot) => ({
      slot: slotId(slot),
      tokens: first ? [1 + slot] : null,
      position: this.#options.context,
      newPages: first ? this.#tables[slot] ?? [] : [],
      sample: true,
      promptTargets: null,
    }));
  }

  async #run(step: PreparedStep): Promise<PreparedStep> {
    this.#options.executor.submit(step);
    await this.#options.executor.finish(step);
    return step;
  }

  async #median(run: () => Promise<void>, runs: number): Promise<number> {
    await this.#timer.time(() => {}, 1); // raises the clocks
    for (let i = 0; i < (this.#options.small ? 1 : 3); i++) await run();
    const times: number[] = [];
    for (let i = 0; i < runs; i++) {
      const start = performance.now();
      await run();
      times.push((performance.now() - start) / 1000);
    }
    return times.sort((a, b) => a - b)[runs >> 1] ?? NaN;
  }
}

/** Ordinary numbers in the pages, for zeros can run faster than text would. */
function fillPools({ device: { gpu }, layerPools }: ExecutorParts): void {
  const size = 2 ** 24;
  const usage = GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
  const noise = gpu.createBuffer({ size, usage });
  const words = Uint32Array.from(
    { length: size / 4 },
    () => (0x21002100 | (Math.random() * 2 ** 32 & 0x83ff83ff)) >>> 0,
  );
  gpu.queue.writeBuffer(noise, 0, words);
  for (const { pool0, pool1 } of layerPools) {
    const encoder = gpu.createCommandEncoder();
    for (const slab of [pool0, pool1]) {
      for (let at = 0; at + size <= slab.size; at += size) {
        encoder.copyBufferToBuffer(noise, 0, slab, at, size);
      }
    }
    gpu.queue.submit([encoder.finish()]);
  }
}
