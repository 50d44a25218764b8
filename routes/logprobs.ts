import { z } from "@hono/zod-openapi";
import type { StreamToken } from "../actors/request_router/protocol.ts";

const TokenLogprob = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int()).nullable(),
});

/** Log probabilities as chat completions give them. */
export const ChatLogprobs = z.object({
  content: z.array(TokenLogprob.extend({ top_logprobs: z.array(TokenLogprob) })),
  refusal: z.null(),
}).openapi("ChatLogprobs");

/** Log probabilities as completions give them; nulls stand at the prompt's first token (echo). */
export const CompletionLogprobs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number().nullable()),
  top_logprobs: z.array(z.record(z.string(), z.number()).nullable()),
  text_offset: z.array(z.int()),
}).openapi("CompletionLogprobs");

/** One entry a token; tokens without log probabilities are left out. */
export function chatLogprobs(tokens: readonly StreamToken[]): z.infer<typeof ChatLogprobs> {
  const content = tokens.flatMap(({ text, bytes, logprobs }) =>
    logprobs === null ? [] : [{
      token: text,
      logprob: finite(logprobs.logprob),
      bytes: [...bytes],
      top_logprobs: logprobs.top.map((top) => ({
        token: top.text,
        logprob: finite(top.logprob),
        bytes: [...top.bytes],
      })),
    }]
  );
  return { content, refusal: null };
}

/** `offset` is where the first token's text begins within the choice's whole text, in code points. */
export function completionLogprobs(
  tokens: readonly StreamToken[],
  offset: number,
): z.infer<typeof CompletionLogprobs> {
  let at = offset;
  return {
    tokens: tokens.map(({ text }) => text),
    token_logprobs: tokens.map(({ logprobs }) => logprobs && finite(logprobs.logprob)),
    top_logprobs: tokens.map((token) => topByText(token)),
    text_offset: tokens.map(({ text }) => {
      const start = at;
      at += codePoints(text);
      return start;
    }),
  };
}

/** The most likely tokens and the chosen one, by text; of two with the same text the likelier counts. */
function topByText({ text, logprobs }: StreamToken): Record<string, number> | null {
  if (logprobs === null) return null;
  const entries = [...logprobs.top, { text, logprob: logprobs.logprob }];
  const byText = new Map<string, number>();
  for (const entry of entries) {
    const logprob = finite(entry.logprob);
    if (logprob > (byText.get(entry.text) ?? -Infinity)) byText.set(entry.text, logprob);
  }
  return Object.fromEntries(byText);
}

/** Length as OpenAI's offsets count it. */
export const codePoints = (text: string): number => {
  let count = 0;
  for (const _ of text) count++;
  return count;
};

// JSON has no -Infinity; vLLM and OpenAI write this number for what cannot be drawn.
const finite = (logprob: number): number => Math.max(logprob, -9999);
