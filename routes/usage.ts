import { z } from "@hono/zod-openapi";
import type { Usage as SequenceUsage } from "../actors/request_router/protocol.ts";

/** Token counts as OpenAI gives them. */
export const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
}).openapi("Usage");
export type Usage = z.infer<typeof Usage>;

/** Adds up the choices of one HTTP request; a prompt counts once, however many choices it has. */
export class UsageSum {
  #prompt = 0;
  #completion = 0;

  /** `n` choices a prompt, in order. */
  constructor(private readonly n: number) {}

  add(index: number, usage: SequenceUsage): void {
    if (index % this.n === 0) this.#prompt += usage.promptTokens;
    this.#completion += usage.completionTokens;
  }

  get total(): Usage {
    return {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
    };
  }
}
