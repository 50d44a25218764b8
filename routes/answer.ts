import type { Context } from "hono";
import type { Prompt } from "../actors/request_router/protocol.ts";
import type { EdgeDeps, EdgeEnv } from "./edge.ts";
import { deliver, type Wording } from "./generation.ts";
import { findModel } from "./models.ts";
import { Problem } from "./problem.ts";
import { type CommonParams, MAX_CHOICES, requestsOf } from "./request_params.ts";
import { SequenceGroup } from "./sequence_group.ts";

/** What an endpoint made of its request. */
export interface Asked {
  /** Of the answer's id. */
  readonly prefix: string;
  readonly prompts: readonly Prompt[];
  /** null: up to the model's length. */
  readonly maxTokens: number | null;
  /** null: no log probabilities. */
  readonly topLogprobs: number | null;
  readonly echo: boolean;
  readonly wording: (frame: Frame) => Wording;
}

/** What every chunk and answer repeats. */
export interface Frame {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
  /** Chunks then carry `usage: null`, all but the last. */
  readonly includeUsage: boolean;
}

/** From a checked request to its answer, for both generation endpoints. @throws {Problem} */
export async function answer(
  c: Context<EdgeEnv>,
  deps: EdgeDeps,
  params: CommonParams,
  asked: Asked,
): Promise<Response> {
  const stream = params.stream ?? false;
  const n = params.n ?? 1;
  if (params.stream_options && !stream) {
    const why = "Invalid 'stream_options': needs stream to be true.";
    throw new Problem("invalid_parameter", why, "stream_options");
  }
  if (params.priority && !deps.priorities) {
    const why = "Invalid 'priority': expected 0 where the server's policy has no classes, " +
      `received ${params.priority}.`;
    throw new Problem("unsupported_parameter", why, "priority");
  }
  // More than the server ever holds would find no room, however often it came again.
  const most = Math.min(MAX_CHOICES, deps.router.capacity);
  if (asked.prompts.length * n > most) {
    const why = `Invalid 'n': expected at most ${most} choices over all prompts, ` +
      `received ${asked.prompts.length * n}.`;
    throw new Problem("invalid_parameter", why, "n");
  }
  const tenant = c.get("tenant");
  const least = tenant.priority ?? (tenant.name === null ? -Infinity : 0);
  if (typeof params.priority === "number" && params.priority < least) {
    const why = `Invalid 'priority': expected at least ${least} with this key, ` +
      `received ${params.priority}.`;
    throw new Problem("invalid_parameter", why, "priority");
  }
  const lease = deps.limits.admit(tenant, asked.prompts, n);
  const model = findModel(deps, tenant, params.model);
  const frame = {
    id: `${asked.prefix}-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(Date.now() / 1000),
    model: params.model,
    includeUsage: params.stream_options?.include_usage || params.include_timings || false,
  };
  const served = { name: params.model, adapter: model.kind === "adapter" };
  const adapters = model.kind === "adapter" ? model.routes : [];
  const { weight = 1 } = tenant;
  const ofAdapter = deps.adapterWeights?.get(params.model) ?? 1;
  const shares = weight === 1 && ofAdapter === 1
    ? undefined
    : { tenant: weight, adapter: ofAdapter };
  const group = await SequenceGroup.open(
    deps.router,
    requestsOf(params, { ...asked, id: frame.id, adapters, tenant: tenant.name, shares }),
    {
      signal: c.get("gone"),
      observe: (index) => {
        const all = [deps.metrics.sequence(served), lease.choice(index)];
        return { see: (event) => all.forEach((each) => each.see(event)) };
      },
    },
  );
  const { includeUsage } = frame;
  const delivery = { stream, includeUsage, includeTimings: params.include_timings ?? false, n };
  const response = await deliver(group, asked.wording(frame), delivery);
  for (const [name, value] of Object.entries(lease.headers)) response.headers.set(name, value);
  return response;
}
