import { Counter, Gauge, Registry } from "prom-client";
import type { EngineLimits, EngineLoad, StreamEvent } from "../actors/request_router/protocol.ts";
import { EngineCounters } from "./engine_counters.ts";
import { ModelTimes, type Served } from "./model_times.ts";
import { type AdapterNames, RoutingMetrics } from "./routing_metrics.ts";
import type { SequenceObserver } from "./sequence_observer.ts";

export interface MetricsOptions {
  readonly names?: AdapterNames;
  /** Label times by the name of the model, while it is one, instead of "base" or "adapter": there may be thousands. */
  readonly isModel?: (name: string) => boolean;
}

/** Everything that /metrics tells. */
export class Metrics {
  readonly #registry = new Registry();
  readonly #requests = this.#counter(
    "chorus_http_requests_total",
    "HTTP requests answered, by route and status.",
    ["route", "method", "status"],
  );
  readonly #ended = this.#counter(
    "chorus_sequences_ended_total",
    "Sequences by how they ended: stop, length, failed or cancelled.",
    ["reason"],
  );
  readonly #promptTokens = this.#counter(
    "chorus_prompt_tokens_total",
    "Prompt tokens of finished sequences.",
  );
  readonly #completionTokens = this.#counter(
    "chorus_completion_tokens_total",
    "Tokens handed to clients.",
  );
  readonly #counters = new EngineCounters(this.#registry);
  readonly #routing: RoutingMetrics;
  readonly #times: ModelTimes;
  /** Sequences admitted for clients and not yet ended. */
  #open = 0;
  readonly #load = {
    running: this.#gauge("chorus_sequences_running", "Sequences in the engine's batch."),
    pages: this.#gauge("chorus_pages", "Pages of the unified pool."),
    freePages: this.#gauge("chorus_pages_free", "Pages that nothing uses."),
    kvPages: this.#gauge("chorus_pages_kv", "Pages that hold keys and values."),
    cachedPages: this.#gauge(
      "chorus_pages_cached",
      "Pages of keys and values that no sequence uses, kept for those to come.",
    ),
    adapterPages: this.#gauge("chorus_pages_adapter", "Pages that hold adapters."),
    residentAdapters: this.#gauge("chorus_adapters_resident", "Adapters in GPU memory."),
    pageUse: this.#gauge("chorus_page_use_ratio", "Share of the pages in use, 0 to 1."),
  };

  /** `ready` is asked at each scrape. */
  constructor(
    ready: () => boolean,
    { names = { namesOf: () => [], changes: 0 }, isModel }: MetricsOptions = {},
  ) {
    this.#routing = new RoutingMetrics(this.#registry, names, () => this.#open);
    this.#times = new ModelTimes(this.#registry, isModel);
    this.#gauge(
      "chorus_sequences_open",
      "Sequences admitted for clients and not yet ended.",
      (gauge) => gauge.set(this.#open),
    );
    this.#gauge(
      "chorus_sequences_waiting",
      "Sequences that wait for room in the batch.",
      (gauge) => gauge.set(this.#routing.waiting),
    );
    this.#gauge("chorus_ready", "1 when requests are taken.", (gauge) => gauge.set(+ready()));
    this.#gauge("process_resident_memory_bytes", "Memory of the front process.", (gauge) => {
      gauge.set(Deno.memoryUsage().rss);
    });
    this.#gauge("process_start_time_seconds", "Start of the front process, seconds since 1970.")
      .set(performance.timeOrigin / 1000);
  }

  request(route: string, method: string, status: number): void {
    this.#requests.inc({ route, method, status });
  }

  /** The engine's latest report; its counters begin again at zero after a restart. */
  load(load: EngineLoad): void {
    this.#routing.load(load);
    this.#counters.load(load);
    for (const name of ["running", "pages", "freePages"] as const) {
      this.#load[name].set(load[name]);
    }
    this.#load.kvPages.set(load.kvPages);
    this.#load.cachedPages.set(load.cachedPages);
    this.#load.adapterPages.set(load.adapterPages);
    this.#load.residentAdapters.set(load.residentAdapters.length);
    const spare = load.freePages + load.cachedPages;
    this.#load.pageUse.set(load.pages === 0 ? 0 : 1 - spare / load.pages);
  }

  /** There is no engine until the next report: nothing runs or is in its memory, and all that is open waits. */
  lost(): void {
    this.#routing.lost();
    for (const gauge of Object.values(this.#load)) gauge.set(0);
  }

  limits(limits: EngineLimits): void {
    this.#routing.limits(limits);
  }

  /** Starts the clock of a sequence that was admitted. */
  sequence(served: Served): SequenceObserver {
    const model = this.#times.labelOf(served);
    const begun = served.adapter ? this.#routing.awaiting(served.name) : () => {};
    let last = performance.now();
    let first = true;
    this.#open++;
    return {
      see: (event) => {
        if (event.kind === "tokens" && event.tokens.length > 0) {
          const now = performance.now();
          const seconds = (now - last) / 1000;
          last = now;
          if (first) this.#times.firstToken(model, seconds);
          else this.#times.tokens(model, seconds, event.tokens.length);
          begun();
          first = false;
          this.#completionTokens.inc(event.tokens.length);
        }
        if (event.kind === "finished") {
          this.#promptTokens.inc(event.usage.promptTokens);
          if (event.usage.times) this.#times.waits(model, event.usage.times);
        }
        if (isEnd(event)) {
          begun();
          this.#open--;
          this.#ended.inc({ reason: event.kind === "finished" ? event.reason : event.kind });
        }
      },
    };
  }

  /** Prometheus' text format and its content type. */
  async render(): Promise<{ readonly text: string; readonly contentType: string }> {
    this.#times.sweep();
    const text = await this.#registry.metrics();
    return { text: text + this.#routing.adapters(), contentType: this.#registry.contentType };
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.#registry] });
  }

  #gauge(name: string, help: string, collect?: (gauge: Gauge) => void): Gauge {
    const registers = [this.#registry];
    return new Gauge({
      name,
      help,
      registers,
      ...(collect && {
        collect() {
          collect(this);
        },
      }),
    });
  }
}

const isEnd = (event: StreamEvent) =>
  event.kind === "finished" || event.kind === "failed" || event.kind === "cancelled";
