/** How a sequence's next token is chosen; plain data that travels with the request. */
export interface SamplingParams {
  /** 0 is greedy. */
  readonly temperature: number;
  /** Keep the k most likely tokens; 0 keeps all. */
  readonly topK: number;
  /** Keep the smallest set with this much probability, 0 < p <= 1. */
  readonly topP: number;
  /** Drop tokens less likely than minP times the most likely one, 0 <= p <= 1. */
  readonly minP: number;
  /** A draw depends on the seed and the position alone. 0 <= seed < 2^53. */
  readonly seed: number;
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** 1 changes nothing; as transformers and vLLM define it, over prompt and output. */
  readonly repetitionPenalty: number;
  /** Added to a token's logit before everything else; at most MAX_LOGIT_BIAS of them. */
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  /** Most likely tokens reported beside the chosen one's logprob; null reports no logprobs at all. */
  readonly topLogprobs: number | null;
}

/** Tokens of one request that logit_bias may name: each step has room for so many a sequence. */
export const MAX_LOGIT_BIAS = 1024;

export const GREEDY: SamplingParams = {
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  seed: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  repetitionPenalty: 1,
  logitBias: [],
  topLogprobs: null,
};

/** Natural log probabilities of the model's raw distribution at one position. */
export interface TokenLogprobs {
  readonly logprob: number;
  /** Most likely first. */
  readonly top: readonly (readonly [token: number, logprob: number])[];
}

/** One adapter of a request and its weight; several mix as sum_j w_j s_j B_j A_j. */
export interface AdapterRoute {
  readonly adapter: import("../memory/ids.ts").AdapterId;
  readonly weight: number;
}
