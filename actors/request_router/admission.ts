import { BLOCK_TOKENS } from "../../models/adapter_image.ts";
import type { Plan } from "./ledger.ts";
import type { EngineLimits, GenerationRequest, RequestFailure } from "./protocol.ts";

/** What a request is measured against. */
export interface AdmissionBounds {
  /** Token ids run from 0 to this, exclusive. */
  readonly vocabSize: number;
  readonly eosTokenIds: readonly number[];
  readonly limits: Pick<EngineLimits, "maxModelLen" | "poolTokens" | "pagesPerBlock">;
  /** Of the pool, for adapters: the request's own, and what is there for good. */
  readonly adapterPages: number;
}

export type Admission =
  | { readonly kind: "plan"; readonly plan: Plan }
  | { readonly kind: "refused"; readonly failure: RequestFailure };

/** What to run for a request with this prompt, or why it can never run. */
export function admission(
  request: GenerationRequest,
  prompt: readonly number[],
  bounds: AdmissionBounds,
): Admission {
  const { maxModelLen, pagesPerBlock } = bounds.limits;
  const adapterTokens = Math.ceil(bounds.adapterPages / pagesPerBlock) * BLOCK_TOKENS;
  const poolTokens = Math.max(0, bounds.limits.poolTokens - adapterTokens);
  const param = request.prompt.kind === "chat" ? "messages" : "prompt";
  const refuse = (
    why: string,
    param: string,
    kind: RequestFailure["kind"] = "invalid",
  ): Admission => ({
    kind: "refused",
    failure: { kind, message: `Cannot run the request: ${why}`, param },
  });
  const stranger = (tokens: readonly number[]) =>
    tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= bounds.vocabSize);
  const vocabulary = `the vocabulary is 0 to ${bounds.vocabSize - 1}`;

  if (prompt.length === 0) return refuse("expected a prompt of at least one token", param);
  for (
    const [bound, what] of [
      [maxModelLen, "the model's length"],
      [poolTokens, `what the page pool can hold${adapterTokens > 0 ? " beside adapters" : ""}`],
    ] as const
  ) {
    // The last token of all needs no place, which is the only one that comes behind an echo without tokens.
    const room = Math.max(0, bound - Math.min(1, request.maxTokens ?? 1));
    if (prompt.length > room) {
      return refuse(
        `expected a prompt of at most ${room} tokens (${what} is ${bound}), received ${prompt.length}`,
        param,
        "too_long",
      );
    }
    const total = prompt.length + (request.maxTokens ?? 1);
    if (total > bound) {
      return refuse(
        `expected prompt and max_tokens to be at most ${bound} tokens together (${what}), ` +
          `received ${prompt.length} + ${request.maxTokens} = ${total}`,
        "max_tokens",
        "too_long",
      );
    }
  }
  // Looked at once it is known to be no longer than it may be: there may be many choices of millions of tokens.
  const outside = stranger(prompt);
  if (outside !== undefined) return refuse(`${vocabulary}, received token ${outside}`, param);
  const biased = stranger(request.sampling.logitBias.map(([token]) => token));
  if (biased !== undefined) return refuse(`${vocabulary}, received token ${biased}`, "logit_bias");

  const stop = stranger(request.stopTokenIds);
  if (stop !== undefined) return refuse(`${vocabulary}, received token ${stop}`, "stop_token_ids");

  const maxTokens = request.maxTokens ?? Math.min(maxModelLen, poolTokens) - prompt.length;
  const least = request.echo ? 0 : 1;
  if (!Number.isInteger(maxTokens) || maxTokens < least) {
    const why = `expected max_tokens to be at least ${least}, received ${maxTokens}`;
    return refuse(why, "max_tokens");
  }
  const eos = request.ignoreEos ? [] : bounds.eosTokenIds;
  return {
    kind: "plan",
    plan: {
      id: request.id,
      prompt,
      adapters: request.adapters,
      sampling: request.sampling,
      // What is asked for its prompt alone runs like any other: to its first token, which nobody gets.
      maxTokens: Math.max(1, maxTokens),
      stopTokenIds: [...new Set([...eos, ...request.stopTokenIds])],
      promptLogprobs: request.echo && request.sampling.topLogprobs !== null,
      ...(request.tenant !== undefined && { tenant: request.tenant }),
      ...(request.shares !== undefined && { shares: request.shares }),
      ...(request.priority !== undefined && { priority: request.priority }),
      ...(request.cacheSalt !== undefined && { cacheSalt: request.cacheSalt }),
    },
  };
}
