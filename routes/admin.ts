import { createRoute, z } from "@hono/zod-openapi";
import type { AdapterAdmin, LoadRefusal } from "./adapter_admin.ts";
import type { EdgeApp } from "./edge.ts";
import { Problem, type ProblemKind } from "./problem.ts";
import { requireKey } from "./require_key.ts";
import { FAILURES } from "./responses.ts";

const LoadBody = z.strictObject({
  lora_name: z.string().min(1),
  lora_path: z.string().min(1),
  load_inplace: z.boolean().nullish().openapi({
    description: "Replace what the name stands for; requests under way keep it.",
  }),
}).openapi("LoadLoraAdapterRequest");
const UnloadBody = z.strictObject({
  lora_name: z.string().min(1),
  lora_int_id: z.int().nullish().openapi({ description: "Of vLLM; not used." }),
}).openapi("UnloadLoraAdapterRequest");

const text = (description: string) => ({
  description,
  content: { "text/plain": { schema: z.string() } },
});
const body = <S extends z.ZodType>(schema: S) => ({
  body: { required: true, content: { "application/json": { schema } } },
});
const named = { params: z.object({ name: z.string() }) };

const routes = {
  load: createRoute({
    method: "post",
    path: "/v1/load_lora_adapter",
    summary: "Load a PEFT adapter, as in vLLM; admin only",
    request: body(LoadBody),
    responses: { 200: text("It is loaded"), ...FAILURES },
  }),
  unload: createRoute({
    method: "post",
    path: "/v1/unload_lora_adapter",
    summary: "Forget an adapter; requests under way finish; admin only",
    request: body(UnloadBody),
    responses: { 200: text("Its name is unknown from now on"), ...FAILURES },
  }),
  pin: createRoute({
    method: "post",
    path: "/v1/adapters/{name}/pin",
    summary: "Keep an adapter on the GPU; admin only",
    request: named,
    responses: { 200: text("It stays there"), ...FAILURES },
  }),
  unpin: createRoute({
    method: "post",
    path: "/v1/adapters/{name}/unpin",
    summary: "Let an adapter go when pages are short; admin only",
    request: named,
    responses: { 200: text("It may go"), ...FAILURES },
  }),
} as const;

const REFUSALS: Record<LoadRefusal["kind"], ProblemKind> = {
  exists: "invalid_parameter",
  invalid: "invalid_parameter",
  not_found: "model_not_found",
};

/** The endpoints that change which adapters there are; `key`: the bearer key that they need, where there is one. */
export function admin(app: EdgeApp, adapters: AdapterAdmin, key: string | null): void {
  const guard = key === null ? [] : [requireKey(key)];
  for (const { path } of Object.values(routes)) {
    for (const handler of guard) app.use(path.replace("{name}", ":name"), handler);
  }
  app.openapi(routes.load, async (c) => {
    const { lora_name: name, lora_path: path, load_inplace } = c.req.valid("json");
    const refusal = await adapters.load(name, path, load_inplace ?? false);
    if (refusal) throw new Problem(REFUSALS[refusal.kind], refusal.why, "lora_path");
    return c.text(`Success: LoRA adapter '${name}' added successfully.`, 200);
  });
  app.openapi(routes.unload, async (c) => {
    const { lora_name: name } = c.req.valid("json");
    if (!await adapters.unload(name)) throw unknown(name);
    return c.text(`Success: LoRA adapter '${name}' removed successfully.`, 200);
  });
  app.openapi(routes.pin, async (c) => {
    const { name } = c.req.valid("param");
    if (!adapters.has(name)) throw unknown(name);
    const error = await adapters.pin(name);
    if (error !== null) throw new Problem("invalid_parameter", error, "name");
    return c.text(`Success: LoRA adapter '${name}' pinned successfully.`, 200);
  });
  app.openapi(routes.unpin, (c) => {
    const { name } = c.req.valid("param");
    if (!adapters.has(name)) throw unknown(name);
    adapters.unpin(name);
    return c.text(`Success: LoRA adapter '${name}' unpinned successfully.`, 200);
  });
}

const unknown = (name: string) =>
  new Problem("model_not_found", `The lora adapter '${name}' cannot be found.`, "lora_name");
