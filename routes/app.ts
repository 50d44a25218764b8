import { adapters } from "./adapters.ts";
import { admin } from "./admin.ts";
import { auth } from "./auth.ts";
import { bodyLimit } from "./body_limit.ts";
import { jsonBounds } from "./json_bounds.ts";
import { chatCompletions } from "./chat_completions.ts";
import { completions } from "./completions.ts";
import { docs } from "./docs.ts";
import { bareApp, refuseTheRest } from "./bare_app.ts";
import type { EdgeApp, EdgeDeps } from "./edge.ts";
import { health } from "./health.ts";
import { countRequests, metrics } from "./metrics.ts";
import { models } from "./models.ts";

/** The whole HTTP edge, not yet listening: `Deno.serve(createApp(deps).fetch)`. */
export function createApp(deps: EdgeDeps): EdgeApp {
  const app = bareApp();
  app.use(countRequests(deps.metrics));
  app.use("/v1/*", bodyLimit(deps.maxBodyBytes));
  // Before the clients' keys are asked for: theirs is another.
  if (deps.adapters && deps.adminKey !== undefined) admin(app, deps.adapters, deps.adminKey);
  app.use("/v1/*", auth(deps), jsonBounds);
  for (const endpoint of [completions, chatCompletions, models, adapters, health]) {
    endpoint(app, deps);
  }
  // They name adapters, of which no tenant is to learn another's.
  const { apiKeys, adminKey = [] } = deps;
  metrics(app, deps, deps.tenants && apiKeys.concat(adminKey));
  docs(app, { authenticated: deps.apiKeys.length > 0 || deps.tenants !== undefined });
  refuseTheRest(app);
  return app;
}
