import type { PolicyOptions } from "../../actors/policy_options.ts";
import { BLOCK, type SimulatedServer } from "./simulation.ts";
import { fittedCost, slower } from "./step_cost.ts";
import type { TraceOptions } from "./trace.ts";

/** A model, its adapters and a card of S-LoRA's evaluation (arXiv 2311.03285, section 7; benchmarks/exp_suite.py). */
export interface PaperSetting {
  readonly name: string;
  /** Ranks of the adapters on q, k, v and o, in turn. */
  readonly ranks: readonly number[];
  /** KV of a token: two vectors of the hidden size a layer, in f16. */
  readonly tokenBytes: number;
  /** Tokens that the pool holds (--num-token). */
  readonly poolTokens: number;
  /** Requests a second that were offered. */
  readonly rate: number;
  /** Of a run, in seconds. */
  readonly seconds: number;
  /**
   * How much longer everything takes there than on our card, so that one adapter has the paper's throughput: the one
   * number that is fitted to the paper (`bench simulate --calibrate`).
   */
  readonly slower: number;
  /** The paper's requests a second with one adapter (raw results in its repository). */
  readonly oneAdapter: number;
}

const LLAMA_7B = 32 * 4096 * 2 * 2;
const LLAMA_13B = 40 * 5120 * 2 * 2;
const MIXED = [64, 32, 16, 8];

export const PAPER_SETTINGS = {
  "S1 A10G": setting("S1 A10G", [8], LLAMA_7B, 14_500, 2, 1.831, 1.665),
  "S2 A10G": setting("S2 A10G", MIXED, LLAMA_7B, 14_500, 2, 1.744, 1.767),
  "S4 A100-40": setting("S4 A100-40", [64, 32, 16], LLAMA_13B, 14_000, 2, 1.671, 1.838),
  // The same card and model as the next, so nothing is fitted.
  "S1 A100-80": setting("S1 A100-80", [8], LLAMA_7B, 125_000, 10, 7.737, 0.495),
  "S2 A100-80": setting("S2 A100-80", MIXED, LLAMA_7B, 125_000, 10, 7.737, 0.495),
  "S4 A100-80": setting("S4 A100-80", [64, 32, 16], LLAMA_13B, 65_000, 6, 4.429, 0.837),
} as const;

function setting(
  name: string,
  ranks: readonly number[],
  tokenBytes: number,
  poolTokens: number,
  rate: number,
  oneAdapter: number,
  slower: number,
): PaperSetting {
  return { name, ranks, tokenBytes, poolTokens, rate, seconds: 300, slower, oneAdapter };
}

/** The trace that the paper's runs had: uniform lengths 8 to 511, adapters by the power law with alpha 1. */
export const paperTrace = (
  { rate, seconds }: Pick<PaperSetting, "rate" | "seconds">,
  more: Partial<TraceOptions> = {},
): TraceOptions => ({
  rate,
  seconds,
  cv: 1,
  adapters: 200,
  popularity: { kind: "power", alpha: 1 },
  promptTokens: [8, 512],
  outputTokens: [8, 512],
  seed: 42,
  ...more,
});

/** Bytes that are uploaded beside a step where nothing else is said: what the slowest of these steps hide. */
const UPLOAD_BYTES = 128 * 2 ** 20;

/** Ours in the place of S-LoRA's: its pool, its adapters (a rank-r one takes as much as 4r tokens), its card's pace. */
export function paperServer(
  { ranks, tokenBytes, poolTokens, slower: factor }: PaperSetting,
  more: {
    readonly policy?: PolicyOptions;
    /** null: learnt. */
    readonly overCommit?: number | null;
    readonly uploadBytesPerStep?: number;
  } = {},
): SimulatedServer {
  const pageBytes = BLOCK * tokenBytes;
  const maxRunning = 512;
  const { uploadBytesPerStep = UPLOAD_BYTES, overCommit = null, ...rest } = more;
  return {
    maxRunning,
    maxBatchTokens: 512,
    maxLogitRows: maxRunning,
    blocks: Math.floor(poolTokens / BLOCK),
    adapterPages: (adapter) => Math.ceil(4 * (ranks[adapter % ranks.length] ?? 8) / BLOCK),
    pageBytes,
    pagesPerStep: Math.max(1, Math.floor(uploadBytesPerStep / pageBytes)),
    cost: slower(fittedCost(), factor),
    overCommit: overCommit ?? 1,
    learnsOutput: overCommit === null,
    ...rest,
  };
}
