import type { AdapterAdmin } from "./adapter_admin.ts";
import { adapters } from "./adapters.ts";
import { admin } from "./admin.ts";
import { bareApp, refuseTheRest } from "./bare_app.ts";
import { bodyLimit } from "./body_limit.ts";
import type { EdgeApp } from "./edge.ts";
import { metrics } from "./metrics.ts";
import type { Metrics } from "./metrics_registry.ts";
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
