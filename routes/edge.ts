import type { OpenAPIHono } from "@hono/zod-openapi";
import type { RequestRouter } from "../actors/request_router/handle.ts";
import type { AdapterAdmin } from "./adapter_admin.ts";
import type { Metrics } from "./metrics_registry.ts";
import type { ModelCatalogue } from "./model_catalogue.ts";
import type { RateLimits } from "./rate_limits.ts";
import type { Tenant, TenantKeys } from "./tenant.ts";

/** What the edge needs of the request router; neither call waits. */
export type RequestRouterHandle = Pick<RequestRouter, "submit" | "cancel" | "capacity">;

/** What the HTTP edge is given. */
export interface EdgeDeps {
  readonly router: RequestRouterHandle;
  readonly models: ModelCatalogue;
  /** `reason` says why not, for /health. */
  readonly status: () => { readonly ready: boolean; readonly reason: string };
  readonly metrics: Metrics;
  /** Bearer keys, any of which opens all of /v1; without any, and without tenants, /v1 is open. */
  readonly apiKeys: readonly string[];
  /** Keys that open what is their tenant's. */
  readonly tenants?: TenantKeys;
  /** Where adapters are; absent: there is no /v1/adapters. */
  readonly adapters?: AdapterAdmin;
  /** The bearer key of those who may change which adapters there are; absent: nobody may, here. */
  readonly adminKey?: string;
  readonly limits: RateLimits;
  /** The policy has classes: requests may say theirs. */
  readonly priorities?: boolean;
  /** Shares of models by name, next to others of the same tenant; 1 where there is none. */
  readonly adapterWeights?: ReadonlyMap<string, number>;
  readonly maxBodyBytes: number;
}

export interface EdgeEnv {
  Variables: {
    /** Aborts when the client goes away. */
    gone: AbortSignal;
    /** Whose key it was; set under /v1. */
    tenant: Tenant;
  };
}

export type EdgeApp = OpenAPIHono<EdgeEnv>;
