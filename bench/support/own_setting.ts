import { POLICY_DEFAULTS } from "../../actors/policy_options.ts";
import { BLOCK, type SimulatedServer } from "./simulation.ts";
import { fittedCost } from "./step_cost.ts";

/** KV of a token in Llama-3-8B's shape, 32 layers of 8 heads of 128 in f16: bytes. */
const TOKEN_BYTES = 32 * 2 * 8 * 128 * 2;
/** A rank-8 adapter on q, k, v and o in f16: bytes. */
const ADAPTER_BYTES = 32 * 8 * 2 * (2 * 4096 + 2 * (4096 + 1024) + 2 * 4096);
const MAX_RUNNING = 128;
const LONGEST = 1023;

/**
 * Llama-3-8B on the card whose steps were measured, `adapters` of rank 8, a pool for the KV of as many sequences as may
 * run, all at their longest, and for a tenth of the adapters.
 */
export function ownServer(adapters: number, uploadBytesPerStep: number): SimulatedServer {
  const pageBytes = BLOCK * TOKEN_BYTES;
  const adapterPages = Math.ceil(ADAPTER_BYTES / pageBytes);
  const kv = MAX_RUNNING * Math.ceil(LONGEST / BLOCK);
  return {
    maxRunning: MAX_RUNNING,
    maxBatchTokens: 512,
    maxLogitRows: MAX_RUNNING,
    blocks: kv + Math.ceil(adapters / 10) * adapterPages,
    adapterPages: () => adapterPages,
    pageBytes,
    pagesPerStep: Math.max(1, Math.floor(uploadBytesPerStep / pageBytes)),
    cost: fittedCost(),
    overCommit: 1,
    learnsOutput: true,
    policy: POLICY_DEFAULTS,
  };
}
