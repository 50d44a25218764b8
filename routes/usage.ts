import { z } from "@hono/zod-openapi";
import type { Usage as SequenceUsage } from "../actors/request_router/protocol.ts";

/** Token counts as OpenAI gives them. */
export const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({
    cached_tokens: z.int().openapi({ description: "Found in the prefix cache, not computed." }),
  }),
}).openapi("Usage");
export type Usage = z.infer<typeof Usage>;

/** Adds up the choices of one HTTP request; a prompt counts once, however many choices it has. */
export class UsageSum {
  #prompt = 0;
  #completion = 0;
  #cached = 0;

  /** `n` choices a prompt, in order. */
  constructor(private readonly n: number) {}

  add(index: number, usage: SequenceUsage): void {
    if (index % this.n === 0) {
      this.#prompt += usage.promptTokens;
      this.#cached += usage.cachedTokens ?? 0;
    }
    this.#completion += usage.completionTokens;
  }

  get total(): Usage {
    return {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
    };
  }
}
