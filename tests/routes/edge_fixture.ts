import { createApp } from "../../routes/app.ts";
import type { EdgeApp, EdgeDeps } from "../../routes/edge.ts";
import { Metrics } from "../../routes/metrics_registry.ts";
import type { ModelCatalogue } from "../../routes/model_catalogue.ts";
import { RateLimits } from "../../routes/rate_limits.ts";
import { adapterId } from "../../memory/ids.ts";
import { saying, ScriptedRouter } from "../support/scripted_router.ts";

const ADAPTERS = ["reverse", "upper"];

/** A base model called demo with the adapters reverse and upper. */
export const catalogue: ModelCatalogue = {
  base: "demo",
  resolve(name) {
    if (name === "demo") return { kind: "base" };
    if (!ADAPTERS.includes(name)) return null;
    return { kind: "adapter", routes: [{ adapter: adapterId(`digest of ${name}`), weight: 1 }] };
  },
  describe: (name) => catalogue.list().find(({ id }) => id === name) ?? null,
  list: () => [
    { id: "demo", parent: null, created: 1_700_000_000 },
    ...ADAPTERS.map((id) => ({ id, parent: "demo", created: 1_700_000_001 })),
  ],
};

export interface Edge {
  readonly app: EdgeApp;
  readonly router: ScriptedRouter;
  readonly metrics: Metrics;
}

/** The edge around a scripted router that says "hello" in two tokens unless told otherwise. */
export function openEdge(
  router = new ScriptedRouter(() => saying(["hel", "lo"])),
  options: Partial<EdgeDeps> = {},
): Edge {
  const metrics = options.metrics ?? new Metrics(() => true);
  const app = createApp({
    router,
    models: catalogue,
    status: () => ({ ready: true, reason: "" }),
    apiKeys: [],
    limits: new RateLimits(),
    maxBodyBytes: 1 << 20,
    ...options,
    metrics,
  });
  return { app, router, metrics };
}

/** A POST of JSON. */
export const post = (body: unknown, init: RequestInit = {}): RequestInit => ({
  method: "POST",
  body: JSON.stringify(body),
  ...init,
  headers: { "content-type": "application/json", ...init.headers },
});

/** Every data event of an event stream, parsed; the last must be [DONE] and is left out. */
export async function events<T = Record<string, unknown>>(response: Response): Promise<T[]> {
  const blocks = (await response.text()).split("\n\n");
  if (blocks.pop() !== "" || blocks.pop() !== "data: [DONE]") {
    throw new SyntaxError(`Cannot read the event stream: it does not end with [DONE]`);
  }
  return blocks.map((block) => JSON.parse(block.slice("data: ".length)));
}

/** Deno.test with every sanitizer on. */
export function strictly(name: string, fn: () => Promise<void> | void): void {
  Deno.test({ name, sanitizeOps: true, sanitizeResources: true, fn });
}

/** Serves the edge on a free port while `use` runs; ends when all scripts have, so that none leaves a timer. */
export async function serving(edge: Edge, use: (url: string) => Promise<void>): Promise<void> {
  {
    await using server = Deno.serve(
      { port: 0, hostname: "127.0.0.1", onListen: () => {} },
      edge.app.fetch,
    );
    await use(`http://127.0.0.1:${server.addr.port}`);
  }
  await edge.router.settled();
}
