import { Histogram, type Registry } from "prom-client";
import type { FirstTokenTimes } from "../actors/batch_former/protocol.ts";

const TTFT_SECONDS = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120];
const INTER_TOKEN_SECONDS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5];

/** The model that a sequence runs on. */
export interface Served {
  readonly name: string;
  readonly adapter: boolean;
}

/** Histograms of what clients wait for, by model. */
export class ModelTimes {
  readonly #registry: Registry;
  readonly #isModel: ((name: string) => boolean) | undefined;
  /** Models with series of their own. */
  readonly #named = new Set<string>();
  readonly #firstToken: Histogram;
  readonly #interToken: Histogram;
  readonly #waits: Readonly<Record<keyof FirstTokenTimes, Histogram>>;

  /** With `isModel` each model has series of its own for as long as it is one, else "base" and "adapter" do. */
  constructor(registry: Registry, isModel?: (name: string) => boolean) {
    this.#registry = registry;
    this.#isModel = isModel;
    const first = "From admission to the first token that the response took.";
    this.#firstToken = this.#histogram("chorus_time_to_first_token_seconds", first);
    const between = "Between one token and the next, as the response took them.";
    const inter = "chorus_inter_token_seconds";
    this.#interToken = this.#histogram(inter, between, INTER_TOKEN_SECONDS);
    const wait = (name: string, what: string) => this.#histogram(`chorus_${name}_seconds`, what);
    this.#waits = {
      queueMs: wait("queue", "Waiting for a place in the batch or for pages."),
      adapterMs: wait("adapter_wait", "Waiting for the adapter."),
      prefillMs: wait("prefill", "From the first step to the first token."),
    };
  }

  /** The label of a sequence's series. */
  labelOf({ name, adapter }: Served): string {
    return this.#isModel ? name : adapter ? "adapter" : "base";
  }

  firstToken(model: string, seconds: number): void {
    this.#observe(this.#firstToken, model, seconds);
  }

  /** `count` tokens that came together share the time since the last ones. */
  tokens(model: string, seconds: number, count: number): void {
    for (let i = 0; i < count; i++) this.#observe(this.#interToken, model, seconds / count);
  }

  waits(model: string, times: FirstTokenTimes): void {
    for (const wait of ["queueMs", "adapterMs", "prefillMs"] as const) {
      this.#observe(this.#waits[wait], model, times[wait] / 1000);
    }
  }

  /** Drops the series of models that are none any more: names come and go for as long as the server runs. */
  sweep(): void {
    for (const model of this.#named) {
      if (this.#isModel?.(model)) continue;
      this.#named.delete(model);
      const { queueMs, adapterMs, prefillMs } = this.#waits;
      for (const all of [this.#firstToken, this.#interToken, queueMs, adapterMs, prefillMs]) {
        all.remove({ model });
      }
    }
  }

  #observe(times: Histogram, model: string, seconds: number): void {
    if (this.#isModel) this.#named.add(model);
    times.observe({ model }, seconds);
  }

  #histogram(name: string, help: string, buckets = TTFT_SECONDS): Histogram {
    return new Histogram({
      ...{ name, help, buckets },
      labelNames: ["model"],
      registers: [this.#registry],
    });
  }
}
