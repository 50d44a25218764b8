import { Counter, Gauge, type Registry } from "prom-client";
import type { StepSeconds } from "../actors/executor/protocol.ts";
import type { EngineLoad } from "../actors/request_router/protocol.ts";

const GAUGES = [
  ["hostAdapters", "chorus_adapters_host", "Adapters in host memory."],
  ["hostBytes", "chorus_adapter_host_bytes", "Host memory of adapters."],
] as const;
const COUNTERS: readonly [name: string, help: string, value: (load: EngineLoad) => number][] = [
  [
    "chorus_adapter_loads_total",
    "Adapters read from disk.",
    ({ residency }) => residency.diskLoads,
  ],
  [
    "chorus_adapter_load_failures_total",
    "Adapters that could not be read.",
    ({ residency }) => residency.failedLoads,
  ],
  [
    "chorus_adapter_host_evictions_total",
    "Adapters dropped from host memory.",
    ({ residency }) => residency.hostEvictions,
  ],
  [
    "chorus_adapter_evictions_total",
    "Adapters dropped from GPU memory.",
    ({ residency }) => residency.gpuEvictions,
  ],
  [
    "chorus_adapter_hits_total",
    "Adapters of admitted sequences found on the GPU.",
    ({ residency }) => residency.gpuHits,
  ],
  [
    "chorus_adapter_misses_total",
    "Adapters of admitted sequences not found there.",
    ({ residency }) => residency.gpuMisses,
  ],
  [
    "chorus_adapter_prefetches_total",
    "Uploads begun before they were needed.",
    ({ residency }) => residency.prefetches,
  ],
  [
    "chorus_adapter_uploads_total",
    "Adapters copied to the GPU.",
    ({ residency }) => residency.uploads,
  ],
  [
    "chorus_adapter_upload_bytes_total",
    "Bytes of adapters copied to the GPU.",
    ({ residency }) => residency.uploadBytes,
  ],
  [
    "chorus_adapter_upload_seconds_total",
    "Host time that uploads took.",
    ({ residency }) => residency.uploadSeconds,
  ],
  [
    "chorus_preemptions_total",
    "Sequences whose pages were taken, to be computed again later.",
    ({ preemptions }) => preemptions,
  ],
  [
    "chorus_aborts_total",
    "Sequences given up before they began, for their first token would have come too late.",
    ({ sheds }) => sheds,
  ],
  ["chorus_steps_total", "Steps of the engine.", ({ steps }) => steps],
  [
    "vllm:prefix_cache_queries_total",
    "Prompt tokens looked for in the prefix cache.",
    ({ prefixQueries }) => prefixQueries,
  ],
  [
    "chorus_prefix_query_tokens_total",
    "Prompt tokens looked for in the prefix cache.",
    ({ prefixQueries }) => prefixQueries,
  ],
  [
    "vllm:prefix_cache_hits_total",
    "Prompt tokens found in the prefix cache.",
    ({ prefixHits }) => prefixHits,
  ],
  [
    "chorus_prefix_hit_tokens_total",
    "Prompt tokens found in the prefix cache.",
    ({ prefixHits }) => prefixHits,
  ],
];
const PARTS = ["encode", "gpu", "read"] as const satisfies readonly (keyof StepSeconds)[];

/** Counters that an engine keeps; an engine's successor begins again at zero, these do not. */
export class EngineCounters {
  readonly #gauges: readonly (readonly [keyof EngineLoad["residency"], Gauge])[];
  readonly #counters: readonly (readonly [Counter, (load: EngineLoad) => number])[];
  readonly #step: Counter;
  /** What the engine said last, by counter or part of a step. */
  readonly #last = new Map<Counter | string, number>();

  constructor(registry: Registry) {
    const registers = [registry];
    this.#gauges = GAUGES.map(([field, name, help]) => [
      field,
      new Gauge({ name, help, registers }),
    ]);
    this.#counters = COUNTERS.map(([name, help, value]) => [
      new Counter({ name, help, registers }),
      value,
    ]);
    this.#step = new Counter({
      name: "chorus_step_seconds_total",
      help: "Time of steps: encoding them, the GPU with its way back, and reading results.",
      labelNames: ["part"],
      registers,
    });
  }

  load(load: EngineLoad): void {
    for (const [field, gauge] of this.#gauges) gauge.set(load.residency[field]);
    for (const [counter, value] of this.#counters) counter.inc(this.#grown(counter, value(load)));
    for (const part of load.stepSeconds ? PARTS : []) {
      this.#step.inc({ part }, this.#grown(part, load.stepSeconds?.[part] ?? 0));
    }
  }

  #grown(what: Counter | string, now: number): number {
    const before = this.#last.get(what) ?? 0;
    this.#last.set(what, now);
    return now >= before ? now - before : now;
  }
}
