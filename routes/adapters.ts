import { createRoute, z } from "@hono/zod-openapi";
import type { EdgeApp, EdgeDeps } from "./edge.ts";
import { FAILURES } from "./responses.ts";
import { mayUse } from "./tenant.ts";

const Adapter = z.object({
  id: z.string(),
  object: z.literal("adapter"),
  parent: z.string(),
  revision: z.string().openapi({ description: "SHA-256 of its files." }),
  state: z.enum(["registering", "rejected", "registered", "host", "gpu", "pinned"]).openapi({
    description: "registered: on disk, ready to be read; host: in host memory; gpu: on the GPU, " +
      "until pages are short; pinned: there for good, or on its way.",
  }),
  error: z.string().nullable().openapi({ description: "Why it was rejected." }),
  rank: z.int().nullable(),
  bytes: z.int().nullable(),
  requests: z.object({
    running: z.int().openapi({ description: "Those that have had a token." }),
    waiting: z.int(),
  }),
}).openapi("Adapter");
const Adapters = z.object({ object: z.literal("list"), data: z.array(Adapter) }).openapi(
  "Adapters",
);

const route = createRoute({
  method: "get",
  path: "/v1/adapters",
  summary: "The adapters that the key may use, and where each is",
  responses: {
    200: { description: "All of them", content: { "application/json": { schema: Adapters } } },
    401: FAILURES[401],
  },
});

/** GET /v1/adapters. */
export function adapters(app: EdgeApp, { adapters }: Pick<EdgeDeps, "adapters">): void {
  if (!adapters) return;
  app.openapi(route, async (c) => {
    const tenant = c.get("tenant");
    const all = (await adapters.list(tenant.name ?? undefined))
      .filter(({ name }) => mayUse(tenant, name));
    const data = all.map(({ name: id, path: _, readFrom, error, ...rest }) => ({
      id,
      object: "adapter" as const,
      ...rest,
      error: error?.replaceAll(readFrom, "its directory") ?? null,
    }));
    return c.json({ object: "list" as const, data }, 200);
  });
}
