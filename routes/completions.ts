import { createRoute, z } from "@hono/zod-openapi";
import type { Prompt } from "../actors/request_router/protocol.ts";
import { answer, type Frame } from "./answer.ts";
import type { EdgeApp, EdgeDeps } from "./edge.ts";
import type { Piece, Wording } from "./generation.ts";
import { charactersBegun, CompletionLogprobs, completionLogprobs } from "./logprobs.ts";
import { Problem } from "./problem.ts";
import { COMMON_PARAMS, MAX_CHOICES, notBuilt, TokenId } from "./request_params.ts";
import { generationResponses } from "./responses.ts";
import { Usage } from "./usage.ts";

const Tokens = z.array(TokenId).min(1);
const PromptParam = z.union([
  z.string(),
  z.array(z.string()).min(1).max(MAX_CHOICES),
  Tokens,
  z.array(Tokens).min(1).max(MAX_CHOICES),
], {
  error: "expected a string, a list of strings, a list of token ids or a list of such lists, " +
    `at most ${MAX_CHOICES} prompts and none without tokens`,
});
type PromptParam = z.infer<typeof PromptParam>;

const Body = z.strictObject({
  ...COMMON_PARAMS,
  prompt: PromptParam.openapi({ example: "stone" }),
  max_tokens: z.int().min(0).nullish().openapi({
    description: "16 where it is not given; 0 only with echo: the prompt and its logprobs alone.",
  }),
  echo: z.boolean().nullish(),
  logprobs: z.int().min(0).max(20).nullish(),
  best_of: z.int().nullish().openapi({ description: "Only a value equal to n is accepted." }),
  suffix: notBuilt("suffix"),
}).openapi("CompletionRequest");

const Answer = z.object({
  id: z.string(),
  object: z.literal("text_completion"),
  created: z.int(),
  model: z.string(),
  choices: z.array(z.object({
    index: z.int(),
    text: z.string(),
    logprobs: CompletionLogprobs.nullable(),
    finish_reason: z.enum(["stop", "length"]).nullable(),
  })),
  usage: Usage.nullish(),
}).openapi("Completion");
type Answer = z.infer<typeof Answer>;

const route = createRoute({
  method: "post",
  path: "/v1/completions",
  summary: "The continuation of one or several texts",
  request: { body: { required: true, content: { "application/json": { schema: Body } } } },
  responses: generationResponses("The answer, or its parts as server-sent events", Answer, Answer),
});

/** POST /v1/completions. */
export function completions(app: EdgeApp, deps: EdgeDeps): void {
  app.openapi(route, (c) => {
    const body = c.req.valid("json");
    if (typeof body.best_of === "number" && body.best_of !== (body.n ?? 1)) {
      const why = `Invalid 'best_of': values other than n are not supported by this server, ` +
        `received ${body.best_of}.`;
      throw new Problem("unsupported_parameter", why, "best_of");
    }
    if (body.max_tokens === 0 && !body.echo) {
      const why = "Invalid 'max_tokens': expected at least 1 where echo is not set, received 0.";
      throw new Problem("invalid_parameter", why, "max_tokens");
    }
    return answer(c, deps, body, {
      prefix: "cmpl",
      prompts: promptsOf(body.prompt),
      maxTokens: body.max_tokens ?? 16,
      topLogprobs: body.logprobs ?? null,
      echo: body.echo ?? false,
      wording: (frame) => wording(frame, typeof body.logprobs === "number"),
    });
  });
}

function promptsOf(prompt: PromptParam): Prompt[] {
  const list = typeof prompt === "string" || typeof prompt[0] === "number" ? [prompt] : prompt;
  return (list as (string | number[])[]).map((each) =>
    typeof each === "string" ? { kind: "text", text: each } : { kind: "tokens", tokens: each }
  );
}

/** Completions' words for pieces and choices; parts and the whole have the same form. */
function wording({ id, created, model, includeUsage }: Frame, logprobs: boolean): Wording {
  const head = { id, object: "text_completion", created, model } as const;
  const offsets = new Map<number, number>();
  const part = (choice: Answer["choices"][number]): Answer => ({
    ...head,
    choices: [choice],
    ...(includeUsage && { usage: null }),
  });
  const logprobsOf = ({ index, tokens }: Extract<Piece, { kind: "text" }>) => {
    const offset = offsets.get(index) ?? 0;
    const length = tokens.reduce((sum, token) => sum + charactersBegun(token), 0);
    offsets.set(index, offset + length);
    return completionLogprobs(tokens, offset);
  };
  return {
    chunk(piece) {
      switch (piece.kind) {
        case "opened":
          return null;
        case "text": {
          const { index, text } = piece;
          if (text === "" && !logprobs) return null;
          const found = logprobs ? logprobsOf(piece) : null;
          return part({ index, text, logprobs: found, finish_reason: null });
        }
        case "closed": {
          const { index, reason } = piece;
          return part({ index, text: "", logprobs: null, finish_reason: reason });
        }
      }
    },
    usageChunk: (usage): Answer => ({ ...head, choices: [], usage }),
    whole: (choices, usage): Answer => ({
      ...head,
      choices: choices.map(({ index, text, tokens, reason }) => ({
        index,
        text,
        logprobs: logprobs ? completionLogprobs(tokens, 0) : null,
        finish_reason: reason,
      })),
      usage,
    }),
  };
}
