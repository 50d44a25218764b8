/** What the engine needs to know of a base model; every number is in elements, not bytes. */
export interface ModelConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  /** Longest sequence the model was made for, in tokens. */
  readonly maxPositions: number;
  readonly rmsNormEps: number;
  readonly rope: RopeConfig;
  /** lm_head shares the embedding's weights. */
  readonly tiedEmbeddings: boolean;
  /** q, k and v have a bias (Qwen2). */
  readonly qkvBias: boolean;
  /** q and k are RMS-normalised per head before RoPE (Qwen3). */
  readonly qkNorm: boolean;
  /** Per layer: number of most recent tokens a token sees (itself included), null where all. */
  readonly slidingWindow: readonly (number | null)[];
  readonly eosTokenIds: readonly number[];
}

export interface RopeConfig {
  readonly theta: number;
  readonly scaling: null | { readonly kind: "linear"; readonly factor: number } | {
    readonly kind: "llama3";
    readonly factor: number;
    readonly lowFreqFactor: number;
    readonly highFreqFactor: number;
    readonly originalMaxPositions: number;
  };
}

/** The seven adapted projections of a layer, in the order of an adapter image's header. */
export const LAYER_MODULES = ["q", "k", "v", "o", "gate", "up", "down"] as const;
export type LayerModule = (typeof LAYER_MODULES)[number];

/** The two adapted matrices outside the layers, in the order of a head image's header. */
export const HEAD_MODULES = ["embed", "lm_head"] as const;
export type HeadModule = (typeof HEAD_MODULES)[number];

/** `[out, in]` of a module's weight. For embed: the token's row is `out`, the vocabulary `in`. */
export function moduleShape(
  config: ModelConfig,
  module: LayerModule | HeadModule,
): readonly [out: number, input: number] {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config;
  switch (module) {
    case "q":
      return [heads * headDim, hiddenSize];
    case "k":
    case "v":
      return [kvHeads * headDim, hiddenSize];
    case "o":
      return [hiddenSize, heads * headDim];
    case "gate":
    case "up":
      return [intermediateSize, hiddenSize];
    case "down":
      return [hiddenSize, intermediateSize];
    case "embed":
      return [hiddenSize, vocabSize];
    case "lm_head":
      return [vocabSize, hiddenSize];
  }
}
