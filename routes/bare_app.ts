import { OpenAPIHono } from "@hono/zod-openapi";
import type { EdgeApp, EdgeEnv } from "./edge.ts";
import { problemOfIssues } from "./invalid_body.ts";
import { asProblem, Problem } from "./problem.ts";

/** An app without endpoints, whose errors all have OpenAI's shape. */
export function bareApp(): EdgeApp {
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
  app.notFound((c) =>
    new Problem("unknown_url", `There is no ${new URL(c.req.url).pathname} here.`).toResponse()
  );
  app.onError((error, c) => {
    // Nobody reads this answer; its status is for the metrics, and is nginx's for a client that left.
    if (c.get("gone").aborted) return new Response(null, { status: 499 });
    return asProblem(error).toResponse();
  });
  return app;
}

/** Hono answers 404 where the path is known and the method is not. */
export function refuseTheRest(app: EdgeApp): void {
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
