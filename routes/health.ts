import { createRoute, z } from "@hono/zod-openapi";
import type { EdgeApp, EdgeDeps } from "./edge.ts";

const Ready = z.object({ status: z.literal("ok") }).openapi("Ready");
const NotReady = z.object({ status: z.literal("not_ready"), reason: z.string() })
  .openapi("NotReady");

const route = createRoute({
  method: "get",
  path: "/health",
  summary: "Whether requests are taken",
  security: [],
  responses: {
    200: { description: "They are", content: { "application/json": { schema: Ready } } },
    503: { description: "Not now", content: { "application/json": { schema: NotReady } } },
  },
});

/** GET /health: 200 only when the engine takes requests. */
export function health(app: EdgeApp, deps: EdgeDeps): void {
  app.openapi(route, (c) => {
    const { ready, reason } = deps.status();
    return ready
      ? c.json({ status: "ok" as const }, 200)
      : c.json({ status: "not_ready" as const, reason }, 503, { "retry-after": "2" });
  });
}
