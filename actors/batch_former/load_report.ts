import type { EngineLoad } from "../request_router/protocol.ts";

/** Says when the load is worth telling: not more often than every `periodMs`, except at rest. */
export class LoadReport {
  readonly #periodMs: number;
  #toldAt = -Infinity;
  #told: EngineLoad | null = null;

  constructor(periodMs: number) {
    this.#periodMs = periodMs;
  }

  /** The load, where it changed since it was told and it is time to tell it; null otherwise. */
  next(load: EngineLoad, idle: boolean, nowMs: number): EngineLoad | null {
    if (!idle && nowMs - this.#toldAt < this.#periodMs) return null;
    const told = this.#told;
    const keys = Object.keys(load) as (keyof EngineLoad)[];
    if (told && keys.every((key) => told[key] === load[key])) return null;
    [this.#told, this.#toldAt] = [load, nowMs];
    return load;
  }
}
