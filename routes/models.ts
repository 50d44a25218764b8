import { createRoute, z } from "@hono/zod-openapi";
import type { EdgeApp, EdgeDeps } from "./edge.ts";
import type { ListedModel, ResolvedModel } from "./model_catalogue.ts";
import { Problem } from "./problem.ts";
import { FAILURES } from "./responses.ts";
import { type Tenant, visibleTo } from "./tenant.ts";

const Model = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: z.int(),
  owned_by: z.string(),
  root: z.string().openapi({ description: "The base model that this one runs on." }),
  parent: z.string().nullable().openapi({ description: "null for the base model itself." }),
}).openapi("Model");
const Models = z.object({ object: z.literal("list"), data: z.array(Model) }).openapi("Models");

const listRoute = createRoute({
  method: "get",
  path: "/v1/models",
  summary: "The base model and its adapters, as far as the key may use them",
  responses: {
    200: { description: "All of them", content: { "application/json": { schema: Models } } },
    401: FAILURES[401],
  },
});
const oneRoute = createRoute({
  method: "get",
  path: "/v1/models/{model}",
  summary: "One model",
  request: { params: z.object({ model: z.string() }) },
  responses: {
    200: { description: "The model", content: { "application/json": { schema: Model } } },
    ...FAILURES,
  },
});

/** GET /v1/models and /v1/models/{model}. */
export function models(app: EdgeApp, deps: EdgeDeps): void {
  app.openapi(listRoute, (c) => {
    const data = visibleTo(c.get("tenant"), deps.models).list().map(modelObject);
    return c.json({ object: "list" as const, data }, 200);
  });
  app.openapi(oneRoute, (c) => {
    const { model } = c.req.valid("param");
    const listed = visibleTo(c.get("tenant"), deps.models).describe(model);
    if (!listed) throw unknownModel(deps, model);
    return c.json(modelObject(listed), 200);
  });
}

/** The model that a tenant's request names. @throws {Problem} which tells nothing of other tenants' models. */
export function findModel(deps: EdgeDeps, tenant: Tenant, name: string): ResolvedModel {
  const model = visibleTo(tenant, deps.models).resolve(name);
  if (model) return model;
  throw unknownModel(deps, name);
}

function unknownModel(deps: EdgeDeps, name: string): Problem {
  // Adapters may still be loading: what is unknown now can be known in a moment.
  if (!deps.status().ready) {
    return new Problem("unavailable", `The server is not ready: ${deps.status().reason}.`);
  }
  return new Problem("model_not_found", `The model '${name}' does not exist.`, "model");
}

const modelObject = ({ id, parent, created }: ListedModel): z.infer<typeof Model> => ({
  id,
  object: "model",
  created,
  owned_by: "chorus",
  root: parent ?? id,
  parent,
});
