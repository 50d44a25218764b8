import type * as Executor from "../../actors/executor/protocol.ts";
import type { AdapterId } from "../../memory/ids.ts";
import { type StepCost, stepMs, type StepWork } from "./step_cost.ts";

export interface CardShape {
  readonly cost: StepCost;
  /** Bytes of a page over all layers. */
  readonly pageBytes: number;
  /** Pages that are uploaded behind a step. */
  readonly pagesPerStep: number;
}

interface Turn {
  readonly endsAt: number;
  readonly step: Extract<Executor.Command, { kind: "step" }> | null;
  readonly pages: number;
}

/**
 * Keeps to the executor's protocol and to nothing but time: steps one after another, beside each a slice of the
 * uploads that wait, and slices alone where no step does.
 */
export class SimulatedCard {
  readonly #shape: CardShape;
  readonly #steps: Extract<Executor.Command, { kind: "step" }>[] = [];
  readonly #uploads: { readonly adapter: AdapterId; readonly pages: number; left: number }[] = [];
  readonly #slots = new Map<number, readonly AdapterId[]>();
  readonly #bytes = new Map<AdapterId, number>();
  #turn: Turn | null = null;

  constructor(shape: CardShape) {
    this.#shape = shape;
  }

  /** When something will have been done, in milliseconds. */
  get nextAt(): number {
    return this.#turn?.endsAt ?? Infinity;
  }

  apply(command: Executor.Command, now: number): void {
    switch (command.kind) {
      case "open":
        this.#slots.set(command.slot, command.routes.map((route) => route.adapter));
        break;
      case "close":
        this.#slots.delete(command.slot);
        break;
      case "upload": {
        const { adapter, layerPages: { length: pages } } = command;
        this.#bytes.set(adapter, pages * this.#shape.pageBytes);
        this.#uploads.push({ adapter, pages, left: pages });
        break;
      }
      case "step":
        this.#steps.push(command);
    }
    this.#begin(now);
  }

  /** What has been done at `nextAt`. */
  finish(): (Executor.Stepped | Executor.Uploaded)[] {
    const turn = this.#turn;
    if (!turn) return [];
    const events: (Executor.Stepped | Executor.Uploaded)[] = [];
    let { pages } = turn;
    while (pages > 0) {
      const [upload] = this.#uploads;
      if (!upload) break;
      const count = Math.min(pages, upload.left);
      upload.left -= count;
      pages -= count;
      if (upload.left > 0) continue;
      this.#uploads.shift();
      const bytes = upload.pages * this.#shape.pageBytes;
      events.push({ kind: "uploaded", adapter: upload.adapter, bytes, seconds: 0 });
    }
    if (turn.step) {
      const rows = turn.step.rows.map(({ slot, sample }) => ({
        slot,
        token: sample ? 1 : null,
        logprobs: null,
        promptLogprobs: [],
      }));
      events.push({ kind: "stepped", step: turn.step.step, rows });
    }
    this.#turn = null;
    this.#begin(turn.endsAt);
    return events;
  }

  #begin(now: number): void {
    if (this.#turn) return;
    const step = this.#steps.shift() ?? null;
    const waiting = this.#uploads.reduce((sum, { left }) => sum + left, 0);
    const pages = Math.min(this.#shape.pagesPerStep, waiting);
    if (!step && pages === 0) return;
    const { cost, pageBytes } = this.#shape;
    const upload = pages * pageBytes * cost.uploadByte;
    const ms = Math.max(upload, step ? stepMs(cost, this.#work(step.rows)) : 0);
    this.#turn = { endsAt: now + ms, step, pages };
  }

  #work(rows: readonly Executor.Row[]): StepWork {
    let [decoding, context, promptTokens] = [0, 0, 0];
    const adapters = new Set<AdapterId>();
    for (const { slot, tokens, position } of rows) {
      for (const adapter of this.#slots.get(slot) ?? []) adapters.add(adapter);
      if (tokens && tokens.length > 1) promptTokens += tokens.length;
      else [decoding, context] = [decoding + 1, context + position];
    }
    const adapterBytes = [...adapters].reduce((sum, id) => sum + (this.#bytes.get(id) ?? 0), 0);
    return { rows: decoding, context, promptTokens, adapterBytes };
  }
}
