import type { Executor, ExecutorParts } from "../../actors/executor/executor.ts";
import type { Route, Row } from "../../actors/executor/protocol.ts";
import { startExecutor } from "../../actors/executor/start_executor.ts";
import type { EngineOptions } from "../../actors/engine_options.ts";
import { GREEDY, type SamplingParams } from "../../actors/sampling.ts";
import { Readback } from "../../kernels/readback.ts";
import {
  adapterId,
  type PageId,
  pageId,
  requestId,
  type SlotId,
  slotId,
  stepId,
} from "../../memory/ids.ts";
import { Checkpoint } from "../../models/checkpoint.ts";
import { packAdapter } from "../../models/pack_adapter.ts";
import { openAdapter } from "./open_adapter.ts";
import { pageGeometry } from "../../models/adapter_image.ts";
import { testOptions } from "./engine_options.ts";
import { randomSource, shuffled } from "./random.ts";

/** One sequence that a test drives by hand. */
export interface Sequence {
  readonly slot: SlotId;
  readonly prompt: readonly number[];
  readonly routes: readonly Route[];
}

/** An executor with adapters at scattered pages, without the actors around it. */
export class GoldenExecutor {
  readonly parts: ExecutorParts;
  readonly #executor: Executor;
  readonly #free: PageId[];
  readonly #freeHead: PageId[];
  readonly #readback: Readback;

  private constructor(executor: Executor, parts: ExecutorParts, readback: Readback, seed: number) {
    this.parts = parts;
    this.#executor = executor;
    this.#readback = readback;
    const random = randomSource(seed);
    this.#free = shuffled(random, parts.layerLayout.pages).map(pageId);
    this.#freeHead = shuffled(random, parts.headLayout.pages).map(pageId);
  }

  static async start(
    directory: string,
    seed = 1,
    more: Partial<EngineOptions> = {},
  ): Promise<GoldenExecutor> {
    const { executor, parts } = await startExecutor(testOptions(directory, more), () => {});
    const bytes = parts.bounds.maxLogitRows * parts.config.vocabSize * 4;
    return new GoldenExecutor(executor, parts, await Readback.create(parts.device, bytes), seed);
  }

  /** Loads a PEFT directory into freely chosen pages. */
  async adapter(base: string, path: string, weight = 1): Promise<Route> {
    const route = this.#upload(base, path, weight);
    await this.#uploaded();
    return route;
  }

  /** Loads several, whose uploads follow each other. */
  async adapters(base: string, paths: readonly string[]): Promise<Route[]> {
    const routes = paths.map((path) => this.#upload(base, path, 1));
    await this.#uploaded();
    return routes;
  }

  open(
    slot: number,
    prompt: readonly number[],
    routes: readonly Route[],
    sampling: SamplingParams = GREEDY,
  ): Sequence {
    const sequence = { slot: slotId(slot), prompt, routes };
    this.#executor.apply({
      kind: "open",
      slot: sequence.slot,
      request: requestId(`r${slot}`),
      sampling,
      routes,
      prompt,
      generated: [],
    });
    return sequence;
  }

  /** Free pages for so many KV blocks. */
  take(blocks: number): PageId[] {
    return this.#free.splice(0, blocks * this.parts.shape.pagesPerBlock);
  }

  /** One step of these rows; pages for `blocks` KV blocks (or `pages`) are appended to each row that names them. */
  async step(
    rows: readonly (Pick<Row, "slot" | "tokens" | "position"> & {
      blocks?: number;
      pages?: readonly PageId[];
      sample?: boolean;
    })[],
  ): Promise<(number | null)[]> {
    const results = await this.#executor.step({
      kind: "step",
      step: stepId(1),
      rows: rows.map(({ blocks = 0, pages, sample = true, ...row }) => ({
        ...row,
        newPages: pages ?? this.take(blocks),
        sample,
        promptTargets: null,
      })),
    });
    return results.map(({ token }) => token);
  }

  /** Log probabilities of a prompt's tokens but the first, in one step; the slot and its pages are free again. */
  async logprobs({ slot, prompt: tokens }: Sequence): Promise<number[]> {
    const blocks = Math.ceil(tokens.length / 16);
    const newPages = this.#free.splice(0, blocks * this.parts.shape.pagesPerBlock);
    const promptTargets = tokens.map((_, i) => tokens[i + 1] ?? null);
    const [row] = await this.#executor.step({
      kind: "step",
      step: stepId(1),
      rows: [{ slot, tokens, position: 0, newPages, sample: false, promptTargets }],
    });
    await this.#executor.apply({ kind: "close", slot });
    this.#free.push(...newPages);
    return row?.promptLogprobs.map(({ logprob }) => logprob) ?? [];
  }

  /** Greedy generation of all sequences in one batch; prompts go in `chunk` tokens at a time. */
  async generate(sequences: readonly Sequence[], count: number, chunk = 64): Promise<number[][]> {
    const texts: number[][] = sequences.map(() => []);
    const longest = Math.max(...sequences.map(({ prompt }) => prompt.length));
    for (let at = 0; at < longest; at += chunk) {
      const some = sequences.map((sequence, i) => ({ sequence, i }))
        .filter(({ sequence }) => at < sequence.prompt.length);
      // One sequence a step: the batch's token bound is small.
      for (const { sequence, i } of some) {
        const { slot, prompt } = sequence;
        const end = Math.min(prompt.length, at + chunk);
        const blocks = at === 0 ? Math.ceil((prompt.length + count) / 16) : 0;
        const sample = end === prompt.length;
        const [token] = await this.step([
          { slot, tokens: prompt.slice(at, end), position: at, blocks, sample },
        ]);
        if (sample) texts[i]?.push(token ?? -1);
      }
    }
    for (let n = 1; n < count; n++) {
      const rows = sequences.map(({ slot, prompt }) => ({
        slot,
        tokens: null,
        position: prompt.length + n - 1,
      }));
      (await this.step(rows)).forEach((token, i) => texts[i]?.push(token ?? -1));
    }
    return texts;
  }

  /** Rows of logits of the last step. */
  async logits(rows = 1): Promise<Float32Array> {
    const bytes = rows * this.parts.config.vocabSize * 4;
    return new Float32Array(await this.#readback.once(this.parts.buffers.logits, bytes));
  }

  #upload(base: string, path: string, weight: number): Route {
    const { config } = this.parts;
    using checkpoint = Checkpoint.open(base);
    using files = openAdapter(path, config, checkpoint);
    const image = packAdapter(files, config, pageGeometry(config.kvHeads, config.headDim));
    const layerPages = this.#free.splice(0, image.layers?.pages ?? 0);
    const headPages = this.#freeHead.splice(0, image.head?.pages ?? 0);
    const adapter = adapterId(path);
    this.#executor.apply({ kind: "upload", adapter, image, layerPages, headPages });
    return {
      adapter,
      weight,
      layerPage: layerPages[0] ?? null,
      headPage: headPages[0] ?? null,
      moduleRanks: image.moduleRanks,
      headRanks: image.headRanks,
    };
  }

  async #uploaded(): Promise<void> {
    while (this.#executor.uploading) await this.#executor.uploadSome();
  }
}
