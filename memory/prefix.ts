import type { AdapterId } from "./ids.ts";

/** What a sequence's KV depends on: two sequences share a block only where all of this is equal. */
export interface Prefix {
  /** Names everything beside the tokens: tenant, salt, and the routed adapters by digest and weight. */
  readonly space: string;
  /** The adapters in `space`: with one of them the whole space goes. */
  readonly adapters: readonly AdapterId[];
  /** Prompt and generated tokens; empty where each has to be computed (its logits are wanted). */
  readonly tokens: readonly number[];
}

/** Full blocks of a sequence that have been written; `from` and the length of `tokens` are whole blocks. */
export interface Written {
  /** Position of the first of `tokens`. */
  readonly from: number;
  readonly tokens: readonly number[];
}
