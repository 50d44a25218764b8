import { Gauge, type Registry } from "prom-client";
import type { EngineLimits, EngineLoad } from "../actors/request_router/protocol.ts";
import type { AdapterId } from "../memory/ids.ts";
import { BLOCK_TOKENS } from "../models/adapter_image.ts";

/** The names of an adapter, all of which clients may use. */
export type NamesOf = (id: AdapterId) => readonly string[];

type Load = Pick<
  EngineLoad,
  "running" | "waiting" | "pages" | "freePages" | "kvPages" | "adapterPages" | "residentAdapters"
>;

/**
 * What inference gateways read to choose a server: the endpoint picker's model-server protocol, under vLLM's names.
 * All of it is read off the last load when a scrape asks.
 */
export class RoutingMetrics {
  readonly #namesOf: NamesOf;
  /** Sequences without a token yet, by their adapter's name. */
  readonly #early = new Map<string, number>();
  readonly #cache: Gauge;
  #load: Load | null = null;
  #limits: EngineLimits | null = null;
  /** Mean size of the residents, when there last were any. */
  #adapterPages = 1;
  #told = "";
  #toldAt = 0;

  constructor(registry: Registry, namesOf: NamesOf) {
    this.#namesOf = namesOf;
    const registers = [registry];
    const gauge = (name: string, help: string, value: (load: Load) => number) => {
      const read = () => this.#load ? value(this.#load) : 0;
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    gauge("vllm:num_requests_running", "Sequences in the batch.", (load) => load.running);
    gauge("vllm:num_requests_waiting", "Sequences that wait for room.", (load) => load.waiting);
    gauge(
      "vllm:kv_cache_usage_perc",
      "Share of the pool that holds keys and values, 0 to 1; adapters yield where they must.",
      (load) => load.pages === 0 ? 0 : load.kvPages / load.pages,
    );
    const labels = () => this.#adapters();
    new Gauge({
      name: "vllm:lora_requests_info",
      help: "Adapters in GPU memory, those that are waited for, and how many there is room for; " +
        "its value is the time of the last change, seconds since 1970.",
      labelNames: ["max_lora", "running_lora_adapters", "waiting_lora_adapters"],
      registers,
      collect() {
        // One series, whatever was there before: routers take the one they find.
        this.reset();
        const { at, ...rest } = labels();
        this.set(rest, at);
      },
    });
    this.#cache = new Gauge({
      name: "vllm:cache_config_info",
      help: "Tokens of a KV block, and how many of them the pool can hold; the value is 1.",
      labelNames: ["block_size", "num_gpu_blocks"],
      registers,
    });
  }

  load(load: Load): void {
    this.#load = load;
    const residents = load.residentAdapters.length;
    if (residents > 0) this.#adapterPages = Math.max(1, load.adapterPages / residents);
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

  #adapters() {
    const { residentAdapters = [], freePages = 0 } = this.#load ?? {};
    const running = residentAdapters.flatMap(this.#namesOf).filter(sayable).sort();
    const there = new Set(running);
    const waiting = [...this.#early.keys()].filter((name) => sayable(name) && !there.has(name));
    const room = residentAdapters.length + Math.floor(freePages / this.#adapterPages);
    const labels = {
      max_lora: String(room),
      running_lora_adapters: running.join(","),
      waiting_lora_adapters: waiting.sort().join(","),
    };
    const told = Object.values(labels).join("\n");
    if (told !== this.#told) this.#toldAt = Date.now() / 1000;
    this.#told = told;
    return { ...labels, at: this.#toldAt };
  }
}

/** The protocol separates names by commas and has no way to write one. */
const sayable = (name: string) => !name.includes(",");
