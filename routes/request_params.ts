import { z } from "@hono/zod-openapi";
import { type AdapterRoute, MAX_LOGIT_BIAS, type SamplingParams } from "../actors/sampling.ts";
import type { GenerationRequest, Prompt } from "../actors/request_router/protocol.ts";
import { requestId } from "../memory/ids.ts";

const SEEDS = 2 ** 53;
/** Sequences that one HTTP request may ask for: prompts times n. */
export const MAX_CHOICES = 1024;
const TOKEN = /^(0|[1-9]\d{0,8})$/;
/** More tokens than any vocabulary has: a larger `top_k` means the same, and would not fit into 32 bits. */
const ALL_TOKENS = 2 ** 31 - 1;
/** Each choice looks for it: a table of its length, beside its own text. */
const LONGEST_STOP = 1024;
const StopString = z.string().min(1).max(LONGEST_STOP)
  .refine((stop) => stop.isWellFormed(), "expected text without halves of characters");

/** A parameter that OpenAI has and Chorus does not: null is harmless, any other value is refused. */
export const notBuilt = (name: string) =>
  z.null({ error: `${name} is not supported by this server` }).optional()
    .openapi({ description: "Not supported: only null is accepted." });

/** As notBuilt, for lists: one without entries asks for nothing either, and clients send it. */
export const notBuiltList = (name: string) =>
  z.union([z.null(), z.tuple([])], { error: `${name} is not supported by this server` }).optional()
    .openapi({
      type: "array",
      items: {},
      maxItems: 0,
      description: "Only null and [] are accepted.",
    });

/** An integer token id. */
export const TokenId = z.int().min(0).max(2 ** 31 - 1);

/** What `model`, streaming and sampling look like in both endpoints; spread into a strict object. */
export const COMMON_PARAMS = {
  model: z.string().min(1).openapi({
    description: "Name of the base model or of an adapter.",
    example: "reverse",
  }),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({
    include_usage: z.boolean().nullish(),
    include_obfuscation: z.literal(false, { error: "it is not supported by this server" })
      .nullish(),
  }).nullish(),
  include_timings: z.boolean().nullish().openapi({
    description: "usage.timings then says what the time to the first token went into; a stream " +
      "ends with a usage chunk as with stream_options.include_usage.",
  }),
  n: z.int().min(1).max(128).nullish(),
  stop: z.union([StopString, z.array(StopString).max(16)], {
    error: "expected a string or a list of at most 16 strings, none of them empty",
  }).nullish(),
  stop_token_ids: z.array(TokenId).max(64).nullish(),
  ignore_eos: z.boolean().nullish(),
  seed: z.int().min(1 - SEEDS).max(SEEDS - 1).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  top_k: z.int().min(-1).nullish().openapi({ description: "0 and -1 keep every token." }),
  min_p: z.number().min(0).max(1).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).max(10).nullish(),
  logit_bias: z.record(z.string().regex(TOKEN), z.number().min(-100).max(100), {
    error: (issue) => issue.code === "invalid_key" ? "the key is not a token id" : undefined,
  }).refine((biases) => Object.keys(biases).length <= MAX_LOGIT_BIAS, {
    message: `expected at most ${MAX_LOGIT_BIAS} tokens`,
  })
    .nullish(),
  cache_salt: z.string().min(1).max(1024).nullish().openapi({
    description: "Only requests with the same salt share cached prefixes.",
  }),
  priority: z.int().min(-(2 ** 31)).max(2 ** 31 - 1).nullish().openapi({
    description: "Lower is served earlier, where the server's policy has classes (--policy " +
      "priority); elsewhere only 0 is accepted, which is also what it is where it is not given.",
  }),
  user: z.string().nullish().openapi({ description: "Accepted, without effect." }),
  metadata: z.record(z.string(), z.string()).nullish()
    .openapi({ description: "Accepted, without effect." }),
} as const;

const Common = z.strictObject(COMMON_PARAMS);
/** The fields that both endpoints share, checked. */
export type CommonParams = z.infer<typeof Common>;

/** What the two endpoints say in different words. */
export interface Wanted {
  /** Prefix of each sequence's request id. */
  readonly id: string;
  readonly prompts: readonly Prompt[];
  readonly adapters: readonly AdapterRoute[];
  readonly maxTokens: number | null;
  /** null: nobody in particular. */
  readonly tenant: string | null;
  /** As in GenerationRequest. */
  readonly shares: GenerationRequest["shares"];
  /** As in SamplingParams. */
  readonly topLogprobs: number | null;
  readonly echo: boolean;
}

/** One request a sequence, in the order of the choices' indices: prompt * n + i. */
export function requestsOf(params: CommonParams, wanted: Wanted): GenerationRequest[] {
  const n = params.n ?? 1;
  return wanted.prompts.flatMap((prompt, at) =>
    Array.from({ length: n }, (_, i) => ({
      id: requestId(`${wanted.id}-${at * n + i}`),
      prompt,
      adapters: wanted.adapters,
      sampling: samplingOf(params, i, wanted.topLogprobs),
      maxTokens: wanted.maxTokens,
      stop: typeof params.stop === "string" ? [params.stop] : params.stop ?? [],
      stopTokenIds: params.stop_token_ids ?? [],
      ignoreEos: params.ignore_eos ?? false,
      echo: wanted.echo,
      ...(wanted.tenant !== null && { tenant: wanted.tenant }),
      ...(wanted.shares && { shares: wanted.shares }),
      ...(typeof params.priority === "number" && { priority: params.priority }),
      ...(typeof params.cache_salt === "string" && { cacheSalt: params.cache_salt }),
    }))
  );
}

/** Sampling of the i-th sequence of a prompt: a seed given serves as seed + i, else each draws its own. */
export function samplingOf(
  params: CommonParams,
  i: number,
  topLogprobs: number | null,
): SamplingParams {
  return {
    temperature: params.temperature ?? 1,
    topK: Math.min(Math.max(0, params.top_k ?? 0), ALL_TOKENS),
    topP: params.top_p ?? 1,
    minP: params.min_p ?? 0,
    seed: typeof params.seed === "number" ? seedOf(params.seed, i) : randomSeed(),
    presencePenalty: params.presence_penalty ?? 0,
    frequencyPenalty: params.frequency_penalty ?? 0,
    repetitionPenalty: params.repetition_penalty ?? 1,
    logitBias: Object.entries(params.logit_bias ?? {}).map(([token, bias]) => [+token, bias]),
    topLogprobs,
  };
}

/** `seed + i` modulo SEEDS; no sum on the way leaves the integers that a double holds. */
function seedOf(seed: number, i: number): number {
  const below = (seed < 0 ? seed : seed - SEEDS) + i;
  return below < 0 ? below + SEEDS : below;
}

function randomSeed(): number {
  const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 11) * 2 ** 32 + low;
}
