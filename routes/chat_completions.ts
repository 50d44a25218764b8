import { createRoute, z } from "@hono/zod-openapi";
import { answer, type Frame } from "./answer.ts";
import { chatMessage, Message } from "./chat_messages.ts";
import type { EdgeApp, EdgeDeps } from "./edge.ts";
import type { Choice, Piece, Wording } from "./generation.ts";
import { ChatLogprobs, chatLogprobs } from "./logprobs.ts";
import { Problem } from "./problem.ts";
import { COMMON_PARAMS, notBuilt, notBuiltList } from "./request_params.ts";
import { generationResponses } from "./responses.ts";
import { Usage } from "./usage.ts";

const Body = z.strictObject({
  ...COMMON_PARAMS,
  messages: z.array(Message).min(1).openapi({ example: [{ role: "user", content: "stone" }] }),
  max_completion_tokens: z.int().min(1).nullish(),
  max_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  tool_choice: z.literal("none", { error: "tools are not supported by this server" }).nullish(),
  response_format: z.strictObject({
    type: z.literal("text", { error: "formats other than text are not supported by this server" }),
  }).nullish(),
  modalities: z.array(
    z.literal("text", { error: "output other than text is not supported by this server" }),
  ).min(1).nullish(),
  tools: notBuiltList("tools"),
  functions: notBuiltList("functions"),
  function_call: notBuilt("function_call"),
  parallel_tool_calls: notBuilt("parallel_tool_calls"),
  store: z.literal(false, { error: "it is not supported by this server" }).nullish(),
  service_tier: z.enum(["auto", "default"], {
    error: "tiers are not supported by this server",
  }).nullish(),
  safety_identifier: z.string().nullish().openapi({ description: "Accepted, without effect." }),
  prompt_cache_key: z.string().nullish().openapi({
    description: "Accepted, without effect: prefixes are always cached, see cache_salt.",
  }),
  prompt_cache_retention: notBuilt("prompt_cache_retention"),
  audio: notBuilt("audio"),
  prediction: notBuilt("prediction"),
  reasoning_effort: notBuilt("reasoning_effort"),
  verbosity: notBuilt("verbosity"),
  web_search_options: notBuilt("web_search_options"),
}).openapi("ChatCompletionRequest");

const FinishReason = z.enum(["stop", "length"]);
const Answer = z.object({
  id: z.string(),
  object: z.literal("chat.completion"),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.object({
    index: z.int(),
    message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
    logprobs: ChatLogprobs.nullable(),
    finish_reason: FinishReason,
  })),
  usage: Usage,
}).openapi("ChatCompletion");
const Chunk = z.object({
  id: z.string(),
  object: z.literal("chat.completion.chunk"),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.object({
    index: z.int(),
    delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional() }),
    logprobs: ChatLogprobs.nullable(),
    finish_reason: FinishReason.nullable(),
  })),
  usage: Usage.nullish(),
}).openapi("ChatCompletionChunk");

const route = createRoute({
  method: "post",
  path: "/v1/chat/completions",
  summary: "The next message of a conversation",
  request: { body: { required: true, content: { "application/json": { schema: Body } } } },
  responses: generationResponses("The answer, or its chunks as server-sent events", Answer, Chunk),
});

/** POST /v1/chat/completions. */
export function chatCompletions(app: EdgeApp, deps: EdgeDeps): void {
  app.openapi(route, (c) => {
    const body = c.req.valid("json");
    const { max_completion_tokens, max_tokens } = body;
    const maxTokens = max_completion_tokens ?? max_tokens ?? null;
    if (typeof max_tokens === "number" && max_tokens !== maxTokens) {
      const why =
        "Invalid 'max_tokens': max_completion_tokens says otherwise; give one of the two.";
      throw new Problem("invalid_parameter", why, "max_tokens");
    }
    if (typeof body.top_logprobs === "number" && !body.logprobs) {
      const why = "Invalid 'top_logprobs': needs logprobs to be true.";
      throw new Problem("invalid_parameter", why, "top_logprobs");
    }
    return answer(c, deps, body, {
      prefix: "chatcmpl",
      prompts: [{ kind: "chat", messages: body.messages.map(chatMessage) }],
      maxTokens,
      topLogprobs: body.logprobs ? body.top_logprobs ?? 0 : null,
      echo: false,
      wording: (frame) => wording(frame, body.logprobs ?? false),
    });
  });
}

/** Chat completions' words for pieces and choices. */
function wording({ id, created, model, includeUsage }: Frame, logprobs: boolean): Wording {
  const head = { id, object: "chat.completion.chunk", created, model } as const;
  const chunk = (index: number, delta: object, rest: object = {}): z.infer<typeof Chunk> => ({
    ...head,
    choices: [{ index, delta, logprobs: null, finish_reason: null, ...rest }],
    ...(includeUsage && { usage: null }),
  });
  return {
    chunk(piece: Piece) {
      switch (piece.kind) {
        case "opened":
          return chunk(piece.index, { role: "assistant", content: "" });
        case "text": {
          if (logprobs) {
            const rest = { logprobs: chatLogprobs(piece.tokens) };
            return chunk(piece.index, { content: piece.text }, rest);
          }
          return piece.text === "" ? null : chunk(piece.index, { content: piece.text });
        }
        case "closed":
          return chunk(piece.index, {}, { finish_reason: piece.reason });
      }
    },
    usageChunk: (usage): z.infer<typeof Chunk> => ({ ...head, choices: [], usage }),
    whole: (choices, usage): z.infer<typeof Answer> => ({
      ...head,
      object: "chat.completion",
      choices: choices.map(({ index, text, tokens, reason }: Choice) => ({
        index,
        message: { role: "assistant", content: text, refusal: null },
        logprobs: logprobs ? chatLogprobs(tokens) : null,
        finish_reason: reason,
      })),
      usage,
    }),
  };
}
