import { Counter, Gauge, Registry } from "prom-client";
import type { EngineLimits, EngineLoad, StreamEvent } from "../actors/request_router/protocol.ts";
import { EngineCounters } from "./engine_counters.ts";
import { ModelTimes, type Served } from "./model_times.ts";
import { type AdapterNames, RoutingMetrics } from "./routing_metrics.ts";

/** Follows one sequence's events as its reader takes them. */
export interface SequenceTimer {
  see(event: StreamEvent): void;
}

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
  readonly #preemptions = this.#counter(
    "chorus_preemptions_total",
    "Sequences whose pages were taken, to be computed again later.",
  );
  readonly #sheds = this.#counter(
    "chorus_aborts_total",
    "Sequences given up before they began, for their first token would have come too late.",
  );
  readonly #steps = this.#counter("chorus_steps_total", "Steps of the engine.");
  readonly #prefixQueries = ["vllm:prefix_cache_queries_total", "chorus_prefix_query_tokens_total"]
    .map((name) => this.#counter(name, "Prompt tokens looked for in the prefix cache."));
  readonly #prefixHits = ["vllm:prefix_cache_hits_total", "chorus_prefix_hit_tokens_total"]
    .map((name) => this.#counter(name, "Prompt tokens found in the prefix cache."));
  readonly #counters = new EngineCounters(this.#registry);
  readonly #routing: RoutingMetrics;
  readonly #times: ModelTimes;
  readonly #open = this.#gauge(
    "chorus_sequences_open",
    "Sequences admitted for clients and not yet ended.",
  );
  readonly #load = {
    running: this.#gauge("chorus_sequences_running", "Sequences in the engine's batch."),
    waiting: this.#gauge("chorus_sequences_waiting", "Sequences that wait for room in the batch."),
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
  #last: Pick<EngineLoad, "preemptions" | "sheds" | "steps" | "prefixQueries" | "prefixHits"> = {
    preemptions: 0,
    sheds: 0,
    steps: 0,
    prefixQueries: 0,
    prefixHits: 0,
  };

  /** `ready` is asked at each scrape. */
  constructor(
    ready: () => boolean,
    { names = { namesOf: () => [], changes: 0 }, isModel }: MetricsOptions = {},
  ) {
    this.#routing = new RoutingMetrics(this.#registry, names);
    this.#times = new ModelTimes(this.#registry, isModel);
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
    for (const name of ["running", "waiting", "pages", "freePages"] as const) {
      this.#load[name].set(load[name]);
    }
    this.#load.kvPages.set(load.kvPages);
    this.#load.cachedPages.set(load.cachedPages);
    this.#load.adapterPages.set(load.adapterPages);
    this.#load.residentAdapters.set(load.residentAdapters.length);
    const spare = load.freePages + load.cachedPages;
    this.#load.pageUse.set(load.pages === 0 ? 0 : 1 - spare / load.pages);
    const grown = (now: number, before: number) => now >= before ? now - before : now;
    this.#preemptions.inc(grown(load.preemptions, this.#last.preemptions));
    this.#sheds.inc(grown(load.sheds, this.#last.sheds));
    this.#steps.inc(grown(load.steps, this.#last.steps));
    for (const counter of this.#prefixQueries) {
      counter.inc(grown(load.prefixQueries, this.#last.prefixQueries));
    }
    for (const counter of this.#prefixHits) {
      counter.inc(grown(load.prefixHits, this.#last.prefixHits));
    }
    this.#last = load;
  }

  limits(limits: EngineLimits): void {
    this.#routing.limits(limits);
  }

  /** Starts the clock of a sequence that was admitted. */
  sequence(served: Served): SequenceTimer {
    const model = this.#times.labelOf(served);
    const begun = served.adapter ? this.#routing.awaiting(served.name) : () => {};
    let last = performance.now();
    let first = true;
    this.#open.inc();
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
          this.#open.dec();
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
