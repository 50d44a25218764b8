import type { MiddlewareHandler } from "hono";
import type { AdapterAdmin } from "./adapter_admin.ts";
import { adapters } from "./adapters.ts";
import { admin } from "./admin.ts";
import { bareApp, refuseTheRest } from "./bare_app.ts";
import { bodyLimit } from "./body_limit.ts";
import type { EdgeApp, EdgeEnv } from "./edge.ts";
import { metrics } from "./metrics.ts";
import type { Metrics } from "./metrics_registry.ts";
import { Problem } from "./problem.ts";
import { requireKey } from "./require_key.ts";
import { ANYONE } from "./tenant.ts";

/** What an admin's own listener serves; without a key, whoever reaches it is one. */
export function createAdminApp(deps: {
  readonly adapters: AdapterAdmin;
  readonly metrics: Metrics;
  readonly adminKey: string | null;
  readonly maxBodyBytes: number;
}): EdgeApp {
  const app = bareApp();
  app.use("/v1/*", bodyLimit(deps.maxBodyBytes));
  if (deps.adminKey === null) app.use("/v1/*", refusePages);
  admin(app, deps.adapters, deps.adminKey);
  if (deps.adminKey !== null) app.use("/v1/adapters", requireKey(deps.adminKey));
  app.use("/v1/adapters", async (c, next) => {
    c.set("tenant", ANYONE);
    await next();
  });
  adapters(app, deps);
  metrics(app, deps, deps.adminKey === null ? undefined : [deps.adminKey]);
  refuseTheRest(app);
  return app;
}

/** Names that nobody can make lead here: an address, and this machine itself. */
const OWN_NAME = /^(localhost|[\d.]+|\[[\da-f:.]+\])$/i;

/**
 * A web page that an admin looks at can reach what the admin can, and tells where it is from. Its own name may be made
 * to lead here (DNS rebinding), so that alone does not make it ours.
 */
const refusePages: MiddlewareHandler<EdgeEnv> = async (c, next) => {
  const origin = c.req.header("origin");
  const { origin: own, hostname } = new URL(c.req.url);
  if (origin !== undefined && (origin !== own || !OWN_NAME.test(hostname))) {
    throw new Problem("cross_origin", `Pages of other origins may not ask, received ${origin}.`);
  }
  await next();
};
