import type { PolicyOptions } from "./policy_options.ts";

/** What the front process tells the engine process at its start: plain data, already validated. */
export interface EngineOptions {
  /** Unix socket on which the front listens. */
  readonly socket: string;
  readonly epoch: number;
  readonly modelDirectory: string;
  readonly gpu: "auto" | "builtin" | "dawn";
  /** Matrices on the GPU; auto keeps a checkpoint's own 16 bits, int8 rounds all but the table of embeddings. */
  readonly dtype: "auto" | "f16" | "bf16" | "int8";
  /** null: the model's own length. In tokens. */
  readonly maxModelLen: number | null;
  /** Bytes of the unified pool over all layers; null: 4 GiB, or 256 MiB where there is no GPU. */
  readonly poolBytes: number | null;
  /** Bytes of the pool for adapters on embed_tokens and lm_head; null: a share of the pool. */
  readonly headPoolBytes: number | null;
  /** Bytes of adapter images in host memory. */
  readonly adapterHostBytes: number;
  /** Milliseconds that reading one adapter's files may take. */
  readonly adapterLoadMs: number;
  /** Bytes of adapters that are uploaded between two steps. */
  readonly uploadBytesPerStep: number;
  /** Tokens of one step over all sequences. */
  readonly maxBatchTokens: number;
  /** Sequences that run at once. */
  readonly maxRunning: number;
  /** KV of what sequences begin with alike is shared, and kept. */
  readonly prefixCache: boolean;
  /** As in MemoryShape; null: what sequences took of their allowed output until now is counted on. */
  readonly overCommit: number | null;
  /** Who runs when there is not room for all. */
  readonly policy: PolicyOptions;
  /** Adapters mixed in one request. */
  readonly maxRoutes: number;
}
