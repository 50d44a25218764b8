import { POLICY_DEFAULTS } from "../../actors/policy_options.ts";
import type { EngineOptions } from "../../actors/engine_options.ts";

/** Options for an executor or engine on a tiny model; `gpu` follows the suite's CHORUS_GPU. */
export function testOptions(
  modelDirectory: string,
  more: Partial<EngineOptions> = {},
): EngineOptions {
  return {
    socket: "",
    epoch: 1,
    modelDirectory,
    gpu: (Deno.env.get("CHORUS_GPU") ?? "builtin") as "builtin" | "dawn",
    dtype: "auto",
    maxModelLen: 256,
    poolBytes: 32 * 2 ** 20,
    headPoolBytes: null,
    adapterHostBytes: 2 ** 30,
    adapterLoadMs: 30_000,
    uploadBytesPerStep: 2 ** 20,
    maxBatchTokens: 128,
    prefixCache: true,
    policy: POLICY_DEFAULTS,
    overCommit: null,
    maxRunning: 32,
    maxRoutes: 2,
    ...more,
  };
}
