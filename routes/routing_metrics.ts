import { Gauge, type Registry } from "prom-client";
import type { EngineLimits, EngineLoad } from "../actors/request_router/protocol.ts";
import type { AdapterId } from "../memory/ids.ts";
import { BLOCK_TOKENS } from "../models/adapter_image.ts";

/** What clients call adapters. */
export interface AdapterNames {
  /** All of its names. */
  namesOf(id: AdapterId): readonly string[];
  /** Another number after each change of them. */
  readonly changes: number;
}

type Load = Pick<
  EngineLoad,
  | "running"
  | "waiting"
  | "pages"
  | "freePages"
  | "kvPages"
  | "cachedPages"
  | "adapterPages"
  | "residentAdapters"
  | "arrivingAdapters"
>;

/**
 * What inference gateways read to choose a server: the endpoint picker's model-server protocol, under vLLM's names.
 * All of it is read off the last load when a scrape asks.
 */
export class RoutingMetrics {
  readonly #names: AdapterNames;
  /** Sequences without a token yet, by their adapter's name. */
  readonly #early = new Map<string, number>();
  readonly #open: () => number;
  readonly #cache: Gauge;
  #load: Load | null = null;
  #limits: EngineLimits | null = null;
  /** Mean size of the adapters on the GPU, when there last were any. */
  #adapterPages = 1;
  #residents: readonly AdapterId[] = [];
  /** Their names, as of `#changes`. */
  #resident: ReadonlySet<string> = new Set();
  #changes = NaN;
  #info: { readonly rest: string; readonly text: string } | null = null;

  /** `open`: sequences admitted and not ended, all of which wait while there is no engine. */
  constructor(registry: Registry, names: AdapterNames, open: () => number) {
    this.#names = names;
    const registers = [registry];
    this.#open = open;
    const gauge = (name: string, help: string, read: () => number) => {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    const running = () => this.#load?.running ?? 0;
    gauge("vllm:num_requests_running", "Sequences in the batch.", running);
    gauge("vllm:num_requests_waiting", "Sequences that wait for room.", () => this.waiting);
    gauge(
      "vllm:kv_cache_usage_perc",
      "Share of the pool that holds keys and values, 0 to 1; adapters yield where they must.",
      () => this.#load?.pages ? this.#load.kvPages / this.#load.pages : 0,
    );
    this.#cache = new Gauge({
      name: "vllm:cache_config_info",
      help: "Tokens of a KV block, and how many of them the pool can hold; the value is 1.",
      labelNames: ["block_size", "num_gpu_blocks"],
      registers,
    });
  }

  /** Sequences that wait: without an engine all of them. */
  get waiting(): number {
    return this.#load?.waiting ?? this.#open();
  }

  load(load: Load): void {
    this.#load = load;
    const adapters = load.residentAdapters.length + load.arrivingAdapters;
    if (adapters > 0) this.#adapterPages = Math.max(1, load.adapterPages / adapters);
  }

  /** There is no engine, and nothing in its memory. */
  lost(): void {
    this.#load = null;
  }

  limits(limits: EngineLimits): void {
    if (limits.poolTokens === this.#limits?.poolTokens) return;
    this.#limits = limits;
    this.#cache.reset();
    const blocks = Math.floor(limits.poolTokens / BLOCK_TOKENS);
    this.#cache.set({ block_size: String(BLOCK_TOKENS), num_gpu_blocks: String(blocks) }, 1);
  }

  /** A sequence of this adapter waits for its first token, until the function is called. */
  awaiting(adapter: string): () => void {
    this.#early.set(adapter, (this.#early.get(adapter) ?? 0) + 1);
    let waits = true;
    return () => {
      if (!waits) return;
      waits = false;
      const left = (this.#early.get(adapter) ?? 0) - 1;
      if (left > 0) this.#early.set(adapter, left);
      else this.#early.delete(adapter);
    };
  }

  /**
   * vllm:lora_requests_info in Prometheus' text format. Names of a thousand adapters are 30 KB, so the text is
   * kept until it changes; and there is one series, whatever was there before: routers take the one they find.
   */
  adapters(): string {
    const { residentAdapters = [], arrivingAdapters = 0 } = this.#load ?? {};
    // Cached KV makes way for adapters.
    const spare = (this.#load?.freePages ?? 0) + (this.#load?.cachedPages ?? 0);
    const { changes } = this.#names;
    if (changes !== this.#changes || !equal(residentAdapters, this.#residents)) {
      const names = residentAdapters.flatMap((id) => this.#names.namesOf(id));
      this.#resident = new Set(names.filter(sayable).sort());
      this.#residents = residentAdapters;
      this.#changes = changes;
      this.#info = null;
    }
    const waiting = [...this.#early.keys()].filter((name) =>
      sayable(name) && !this.#resident.has(name)
    );
    const room = residentAdapters.length + arrivingAdapters +
      Math.floor(spare / this.#adapterPages);
    const rest = `waiting_lora_adapters="${csv(waiting.sort())}",max_lora="${room}"`;
    if (this.#info?.rest !== rest) {
      const labels = `running_lora_adapters="${csv([...this.#resident])}",${rest}`;
      const text = `${INFO}vllm:lora_requests_info{${labels}} ${Date.now() / 1000}\n`;
      this.#info = { rest, text };
    }
    return this.#info.text;
  }
}

const INFO =
  "# HELP vllm:lora_requests_info Adapters in GPU memory, those that are waited for, and " +
  "how many there is room for; its value is the time of the last change, seconds since 1970.\n" +
  "# TYPE vllm:lora_requests_info gauge\n";

const csv = (names: readonly string[]) =>
  names.join(",").replace(/[\\"\n]/g, (char) => char === "\n" ? "\\n" : `\\${char}`);

/** The protocol separates names by commas and has no way to write one. */
const sayable = (name: string) => !name.includes(",");

const equal = (a: readonly AdapterId[], b: readonly AdapterId[]) =>
  a === b || (a.length === b.length && a.every((id, i) => id === b[i]));
