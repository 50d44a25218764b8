import { createRoute, z } from "@hono/zod-openapi";
import type { MiddlewareHandler } from "hono";
import { matchedRoutes } from "hono/route";
import type { EdgeApp, EdgeDeps } from "./edge.ts";
import type { Metrics } from "./metrics_registry.ts";
import { requireKey } from "./require_key.ts";

const route = createRoute({
  method: "get",
  path: "/metrics",
  summary: "Prometheus metrics",
  security: [],
  responses: {
    200: {
      description: "Prometheus' text format",
      content: { "text/plain": { schema: z.string() } },
    },
  },
});

/** GET /metrics; with `keys` only for who sends one of them. */
export function metrics(
  app: EdgeApp,
  deps: Pick<EdgeDeps, "metrics">,
  keys?: readonly string[],
): void {
  if (keys) app.use("/metrics", requireKey(...keys));
  app.openapi(route, async (c) => {
    const { text, contentType } = await deps.metrics.render();
    return c.text(text, 200, { "content-type": contentType });
  });
}

/** Counts every answer by its route's pattern, never by the URL that the client chose. */
export function countRequests(registry: Metrics): MiddlewareHandler {
  return async function countRequests(c, next) {
    await next();
    const path = matchedRoutes(c).map((route) => route.path).findLast((path) =>
      !path.endsWith("*")
    );
    registry.request(
      path ?? "unknown",
      METHODS.has(c.req.method) ? c.req.method : "other",
      c.res.status,
    );
  };
}

// A client may send any word as method: each would be a new time series.
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]);
