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
    text_offset: tokens.map((token) => {
      const start = at;
      at += charactersBegun(token);
      return continues(token) ? Math.max(0, start - 1) : start;
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

/**
 * How far a token takes OpenAI's offsets, in code points. Of one that holds parts of characters the bytes that
 * begin one count: its own text has a replacement character for each part, the choice's text has not.
 */
export function charactersBegun({ text, bytes, special }: StreamToken): number {
  if (special) return 0;
  if (text.includes(REPLACEMENT)) return bytes.filter((byte) => !isContinuation(byte)).length;
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** Whether the token begins within a character that one before it began. */
const continues = ({ text, bytes }: StreamToken): boolean =>
  text.startsWith(REPLACEMENT) && isContinuation(bytes[0] ?? 0);

const REPLACEMENT = "\ufffd";
const isContinuation = (byte: number): boolean => (byte & 0xc0) === 0x80;

// JSON has no -Infinity; vLLM and OpenAI write this number for what cannot be drawn.
const finite = (logprob: number): number => Math.max(logprob, -9999);
