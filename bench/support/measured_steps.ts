/** A step of the 8B shape as it was timed: what it did, and how long it took. */
export interface MeasuredStep {
  /** Rows with one token each, and the tokens of context before them in all. */
  readonly rows: number;
  readonly context: number;
  /** Tokens of prompts. */
  readonly promptTokens: number;
  readonly ms: number;
}

/**
 * Llama-3-8B's shape with random weights in f16 on one NVIDIA H200, built-in WebGPU, driver 580.159, 2026-11-23:
 * `deno task bench step`, decode at 09:01, prefill and adapters at 07:12 of that day (the last run that had them).
 */
export const MEASURED_STEPS: readonly MeasuredStep[] = [
  { rows: 1, context: 512, promptTokens: 0, ms: 5.71 },
  { rows: 8, context: 8 * 512, promptTokens: 0, ms: 8.65 },
  { rows: 16, context: 16 * 512, promptTokens: 0, ms: 13.52 },
  { rows: 32, context: 32 * 512, promptTokens: 0, ms: 25.4 },
  { rows: 64, context: 64 * 512, promptTokens: 0, ms: 44.85 },
  { rows: 0, context: 0, promptTokens: 512, ms: 199.3 },
  { rows: 0, context: 0, promptTokens: 2048, ms: 812.5 },
];

/** From docs/performance.md: `attention_decode` of one layer at 512 tokens of context, microseconds. */
export const MEASURED_ATTENTION = {
  layers: 32,
  context: 512,
  us: [[1, 14.4], [32, 47.1]],
} as const;

/** 32 rows without an adapter, with one, and with 32 of rank 16 on q, k, v and o (27 MB each): ms of the same run. */
export const MEASURED_ADAPTERS = {
  base: 37.58,
  one: 39.92,
  distinct: 40.99,
  count: 32,
  bytes: 27e6,
} as const;

/** Reading 16.06 GB of weights and writing them to the card took 5.50 s: bytes a second. */
export const MEASURED_UPLOAD = 16.06e9 / 5.5;
