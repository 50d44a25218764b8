import { Counter, Gauge, type Registry } from "prom-client";
import type { EngineLoad, StepSeconds } from "../actors/request_router/protocol.ts";

type Residency = EngineLoad["residency"];

const GAUGES = [
  ["hostAdapters", "chorus_adapters_host", "Adapters in host memory."],
  ["hostBytes", "chorus_adapter_host_bytes", "Host memory of adapters."],
] as const;
const COUNTERS = [
  ["diskLoads", "chorus_adapter_loads_total", "Adapters read from disk."],
  ["failedLoads", "chorus_adapter_load_failures_total", "Adapters that could not be read."],
  ["hostEvictions", "chorus_adapter_host_evictions_total", "Adapters dropped from host memory."],
  ["gpuEvictions", "chorus_adapter_evictions_total", "Adapters dropped from GPU memory."],
  ["gpuHits", "chorus_adapter_hits_total", "Adapters of admitted sequences found on the GPU."],
  ["gpuMisses", "chorus_adapter_misses_total", "Adapters of admitted sequences not found there."],
  ["prefetches", "chorus_adapter_prefetches_total", "Uploads begun before they were needed."],
  ["uploads", "chorus_adapter_uploads_total", "Adapters copied to the GPU."],
  ["uploadBytes", "chorus_adapter_upload_bytes_total", "Bytes of adapters copied to the GPU."],
  ["uploadSeconds", "chorus_adapter_upload_seconds_total", "Host time that uploads took."],
] as const;
const PARTS = ["encode", "gpu", "read"] as const satisfies readonly (keyof StepSeconds)[];

/** Counters that an engine keeps; an engine's successor begins again at zero, these do not. */
export class EngineCounters {
  readonly #gauges: ReadonlyMap<keyof Residency, Gauge>;
  readonly #counters: ReadonlyMap<keyof Residency, Counter>;
  readonly #step: Counter;
  readonly #last = new Map<string, number>();

  constructor(registry: Registry) {
    const registers = [registry];
    this.#gauges = new Map(
      GAUGES.map(([field, name, help]) => [field, new Gauge({ name, help, registers })]),
    );
    this.#counters = new Map(
      COUNTERS.map(([field, name, help]) => [field, new Counter({ name, help, registers })]),
    );
    this.#step = new Counter({
      name: "chorus_step_seconds_total",
      help: "Time of steps: encoding them, the GPU with its way back, and reading results.",
      labelNames: ["part"],
      registers,
    });
  }

  load({ residency, stepSeconds }: EngineLoad): void {
    for (const [field, gauge] of this.#gauges) gauge.set(residency[field]);
    for (const [field, counter] of this.#counters) {
      counter.inc(this.#grown(field, residency[field]));
    }
    for (const part of stepSeconds ? PARTS : []) {
      this.#step.inc({ part }, this.#grown(part, stepSeconds?.[part] ?? 0));
    }
  }

  #grown(what: string, now: number): number {
    const before = this.#last.get(what) ?? 0;
    this.#last.set(what, now);
    return now >= before ? now - before : now;
  }
}
