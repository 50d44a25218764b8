import { z } from "@hono/zod-openapi";
import { getLogger } from "@logtape/logtape";
import { HTTPException } from "hono/http-exception";
import type { RequestFailure } from "../actors/request_router/protocol.ts";

const logger = getLogger(["chorus", "http"]);

/** Every way in which a request can fail: its status, OpenAI's type and code, and when to try again. */
const PROBLEMS = {
  invalid_parameter: { status: 400, type: "invalid_request_error", code: "invalid_parameter" },
  unsupported_parameter: {
    status: 400,
    type: "invalid_request_error",
    code: "unsupported_parameter",
  },
  context_length_exceeded: {
    status: 400,
    type: "invalid_request_error",
    code: "context_length_exceeded",
  },
  malformed_json: { status: 400, type: "invalid_request_error", code: "malformed_json" },
  invalid_api_key: { status: 401, type: "authentication_error", code: "invalid_api_key" },
  cross_origin: { status: 403, type: "invalid_request_error", code: "cross_origin" },
  model_not_found: { status: 404, type: "invalid_request_error", code: "model_not_found" },
  unknown_url: { status: 404, type: "invalid_request_error", code: "unknown_url" },
  method_not_allowed: { status: 405, type: "invalid_request_error", code: "method_not_allowed" },
  body_too_large: { status: 413, type: "invalid_request_error", code: "body_too_large" },
  unsupported_media_type: {
    status: 415,
    type: "invalid_request_error",
    code: "unsupported_media_type",
  },
  too_many_requests: { status: 429, type: "requests", code: "rate_limit_exceeded" },
  too_many_tokens: { status: 429, type: "tokens", code: "rate_limit_exceeded" },
  overloaded: { status: 429, type: "rate_limit_error", code: "overloaded", retryAfter: 1 },
  internal: { status: 500, type: "server_error", code: "internal_error" },
  unavailable: { status: 503, type: "server_error", code: "unavailable", retryAfter: 2 },
} as const;

export type ProblemKind = keyof typeof PROBLEMS;

/** The body of every error, as OpenAI writes it. */
export const ErrorBody = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
}).openapi("Error");
export type ErrorBody = z.infer<typeof ErrorBody>;

/** A failure that the client is told about; handlers throw it, the app's onError answers it. */
export class Problem extends Error {
  override readonly name = "Problem";
  constructor(
    readonly kind: ProblemKind,
    message: string,
    /** The request field at fault, as a dotted path. */
    readonly param: string | null = null,
    /** Of this answer besides those of its kind. */
    readonly headers: Readonly<Record<string, string>> = {},
  ) {
    super(message);
  }

  get status(): (typeof PROBLEMS)[ProblemKind]["status"] {
    return PROBLEMS[this.kind].status;
  }

  get body(): ErrorBody {
    const { type, code } = PROBLEMS[this.kind];
    return { error: { message: this.message, type, param: this.param, code } };
  }

  /** `headers` are added to those that the kind itself asks for (Retry-After, WWW-Authenticate). */
  toResponse(headers: Record<string, string> = {}): Response {
    const { status, ...rest } = PROBLEMS[this.kind];
    const all = new Headers({ ...this.headers, ...headers });
    if ("retryAfter" in rest) all.set("retry-after", String(rest.retryAfter));
    if (status === 401) all.set("www-authenticate", "Bearer");
    return Response.json(this.body, { status, headers: all });
  }
}

const OF_FAILURE: Readonly<Record<RequestFailure["kind"], ProblemKind>> = {
  invalid: "invalid_parameter",
  too_long: "context_length_exceeded",
  unavailable: "unavailable",
  internal: "internal",
};

/** The problem that a request's terminal `failed` event stands for. */
export const problemOfFailure = (failure: RequestFailure): Problem =>
  new Problem(OF_FAILURE[failure.kind], failure.message, failure.param);

/** What the client is told about an error thrown by a handler or by a library under it; surprises are logged. */
export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof HTTPException) {
    if (error.status === 400) {
      return new Problem("malformed_json", "The request's body is not valid JSON.");
    }
    if (error.status === 415) {
      return new Problem("unsupported_media_type", "Expected content-type: application/json.");
    }
  }
  logger.error("A request failed unexpectedly: {error}", { error });
  return new Problem("internal", "The server failed while it was answering.");
}
