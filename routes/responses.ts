import type { z } from "@hono/zod-openapi";
import { ErrorBody } from "./problem.ts";

const failure = (description: string) => ({
  description,
  content: { "application/json": { schema: ErrorBody } },
});

/** What any /v1 endpoint may answer besides its success, for the OpenAPI document. */
export const FAILURES = {
  401: failure("The API key is missing or wrong"),
  404: failure("No such model"),
  503: failure("The server is not ready; see Retry-After"),
} as const;

/**
 * The responses of an endpoint that answers whole or streams. Its handler may return any Response: the event
 * stream's type is the one that lets @hono/zod-openapi accept it.
 */
export function generationResponses<A extends z.ZodType, C extends z.ZodType>(
  description: string,
  whole: A,
  chunk: C,
) {
  return {
    200: {
      description,
      content: {
        "application/json": { schema: whole },
        "text/event-stream": { schema: chunk },
      },
    },
    400: failure("A parameter is wrong or not supported, or the prompt is too long"),
    ...FAILURES,
    413: failure("The body is too large"),
    415: failure("The body is not declared as JSON"),
    429: failure("Too many requests are under way, or a limit of the API key; see Retry-After"),
    500: failure("A fault of the server"),
  } as const;
}
