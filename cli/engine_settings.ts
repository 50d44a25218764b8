import type { EngineOptions } from "../actors/engine_options.ts";
import type { Config } from "./config.ts";

/** Of one step, unless said otherwise. */
const BATCH_TOKENS = 512;

/** What the flags mean to the engine process. */
export function engineSettings(
  config: Config,
  modelDirectory: string,
): Omit<EngineOptions, "socket" | "epoch"> {
  return {
    modelDirectory,
    gpu: config.gpu,
    dtype: config.dtype,
    maxModelLen: config.maxModelLen ?? null,
    poolBytes: config.poolBytes ?? null,
    headPoolBytes: config.headPoolBytes ?? null,
    adapterHostBytes: config.adapterHostBytes,
    adapterLoadMs: config.adapterLoadTimeout * 1000,
    uploadBytesPerStep: config.uploadBytesPerStep,
    maxBatchTokens: config.maxBatchTokens ?? Math.max(BATCH_TOKENS, config.maxRunning),
    maxRunning: config.maxRunning,
    prefixCache: config.prefixCache === "on",
    overCommit: config.overCommit,
    policy: {
      names: config.policy,
      agingMs: config.agingSeconds * 1000,
      sloMs: config.sloSeconds * 1000,
      clusterAdapters: config.clusterAdapters,
      prices: config.tokenPrices,
    },
    // One adapter a request: the routing table holds more, the API does not ask for more yet.
    maxRoutes: 1,
  };
}
