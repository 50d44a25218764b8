import { z } from "@hono/zod-openapi";
import type { FirstTokenTimes } from "../actors/batch_former/protocol.ts";
import type { Usage as SequenceUsage } from "../actors/request_router/protocol.ts";

const ms = (description: string) => z.number().openapi({ description });
const Timings = z.object({
  queue_ms: ms("Waiting for a place in the batch or for memory."),
  adapter_ms: ms("Waiting for the adapter: from disk and on its way to the GPU."),
  prefill_ms: ms("From the first step with this request to its first token."),
}).openapi("Timings", {
  description: "What the time to the first choice's first token went into, in milliseconds, " +
    "once its prompt was tokenised. Only where include_timings is true.",
});

/** Token counts as OpenAI gives them, and our timings. */
export const Usage = z.object({
  prompt_tokens: z.int(),
  completion_tokens: z.int(),
  total_tokens: z.int(),
  prompt_tokens_details: z.object({
    cached_tokens: z.int().openapi({ description: "Found in the prefix cache, not computed." }),
  }),
  timings: Timings.optional(),
}).openapi("Usage");
export type Usage = z.infer<typeof Usage>;

/** Adds up the choices of one HTTP request; a prompt counts once, however many choices it has. */
export class UsageSum {
  #prompt = 0;
  #completion = 0;
  #times: SequenceUsage["times"];
  #cached = 0;

  /** `n` choices a prompt, in order; with `timings` those of the first choice are part of it. */
  constructor(private readonly n: number, private readonly timings: boolean) {}

  add(index: number, usage: SequenceUsage): void {
    if (index % this.n === 0) {
      this.#prompt += usage.promptTokens;
      this.#cached += usage.cachedTokens ?? 0;
    }
    this.#completion += usage.completionTokens;
    if (index === 0 && this.timings) this.#times = usage.times;
  }

  get total(): Usage {
    return {
      prompt_tokens: this.#prompt,
      completion_tokens: this.#completion,
      total_tokens: this.#prompt + this.#completion,
      prompt_tokens_details: { cached_tokens: this.#cached },
      ...(this.#times && { timings: timingsOf(this.#times) }),
    };
  }
}

const timingsOf = (times: FirstTokenTimes): z.infer<typeof Timings> => ({
  queue_ms: rounded(times.queueMs),
  adapter_ms: rounded(times.adapterMs),
  prefill_ms: rounded(times.prefillMs),
});

/** To microseconds. */
const rounded = (ms: number) => Math.round(ms * 1000) / 1000;
