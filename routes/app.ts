import { OpenAPIHono } from "@hono/zod-openapi";
import { auth } from "./auth.ts";
import { bodyLimit } from "./body_limit.ts";
import { chatCompletions } from "./chat_completions.ts";
import { completions } from "./completions.ts";
import { docs } from "./docs.ts";
import type { EdgeApp, EdgeDeps, EdgeEnv } from "./edge.ts";
import { health } from "./health.ts";
import { problemOfIssues } from "./invalid_body.ts";
import { countRequests, metrics } from "./metrics.ts";
import { models } from "./models.ts";
import { asProblem, Problem } from "./problem.ts";

/** The whole HTTP edge, not yet listening: `Deno.serve(createApp(deps).fetch)`. */
export function createApp(deps: EdgeDeps): EdgeApp {
  const app: EdgeApp = new OpenAPIHono<EdgeEnv>({
    defaultHook: (result) => {
      if (!result.success) {
        throw problemOfIssues(result.error.issues, (result as { data?: unknown }).data);
      }
    },
  });
  app.use(async (c, next) => {
    // Deno makes the signal when it is first asked for: asked late, it would miss a client that has left.
    c.set("gone", c.req.raw.signal);
    await next();
  });
  app.use(countRequests(deps.metrics));
  app.use("/v1/*", auth(deps), bodyLimit(deps.maxBodyBytes));
  for (const endpoint of [completions, chatCompletions, models, health, metrics]) {
    endpoint(app, deps);
  }
  docs(app, { authenticated: deps.apiKeys.length > 0 || deps.tenants !== undefined });
  refuseOtherMethods(app);
  app.notFound((c) =>
    new Problem("unknown_url", `There is no ${new URL(c.req.url).pathname} here.`).toResponse()
  );
  app.onError((error, c) =>
    // Nobody reads this answer; its status is for the metrics, and is nginx's for a client that left.
    c.get("gone").aborted ? new Response(null, { status: 499 }) : asProblem(error).toResponse()
  );
  return app;
}

/** Hono answers 404 where the path is known and the method is not. */
function refuseOtherMethods(app: EdgeApp): void {
  const methods = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    methods.set(path, (methods.get(path) ?? new Set()).add(method));
  }
  for (const [path, allowed] of methods) {
    if (allowed.has("GET")) allowed.add("HEAD");
    const allow = [...allowed].join(", ");
    app.all(
      path,
      (c) =>
        new Problem("method_not_allowed", `${c.req.method} is not allowed here, only ${allow}.`)
          .toResponse({ allow }),
    );
  }
}
