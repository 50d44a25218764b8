/// <reference lib="deno.window" />
// The front process as main.ts starts it, with the demo's tokenizer and an engine that has no model; beside the real
// routes, GET /bench/load tells this thread's event-loop delay since the last time it was asked.
import { POLICY_DEFAULTS } from "../../actors/policy_options.ts";
import { fileURLToPath } from "node:url";
import { PacedPromptEncoder } from "../../actors/request_router/paced_prompt_encoder.ts";
import { promptEncoder } from "../../actors/request_router/prompt_encoder.ts";
import { AdapterRegistry } from "../../actors/request_router/registry.ts";
import { startSystem } from "../../actors/system.ts";
import { observeEngine } from "../../cli/engine_observer.ts";
import { listen } from "../../cli/listen.ts";
import { modelCatalogue } from "../../cli/model_catalogue.ts";
import { readiness } from "../../cli/readiness.ts";
import { ChatTemplate } from "../../models/chat_template.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { Tokenizer } from "../../models/tokenizer.ts";
import { createApp } from "../../routes/app.ts";
import { Metrics } from "../../routes/metrics_registry.ts";
import { RateLimits } from "../../routes/rate_limits.ts";
import { DelayProbe } from "./delay_probe.ts";

async function serve(streams: number, stepMs: number): Promise<void> {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const directory = `${root}models/demo/base`;
  const model = await loadModelConfig(directory);
  const tokenizer = await Tokenizer.load(directory);
  const registry = new AdapterRegistry();
  const metrics = new Metrics(() => status().ready);
  const { router, supervisor } = startSystem({
    engine: {
      modelDirectory: directory,
      gpu: "builtin",
      dtype: "auto",
      maxModelLen: 4096,
      poolBytes: null,
      headPoolBytes: null,
      adapterHostBytes: 2 ** 32,
      adapterLoadMs: 30_000,
      uploadBytesPerStep: 16 * 2 ** 20,
      maxBatchTokens: Math.max(512, 2 * streams),
      maxRunning: streams,
      prefixCache: true,
      policy: POLICY_DEFAULTS,
      overCommit: null,
      maxRoutes: 1,
    },
    engineProgram: () => ["run", "-A", `${root}bench/support/instant_engine.ts`, `${stepMs}`],
    router: {
      vocabSize: model.vocabSize,
      eosTokenIds: tokenizer.eosTokenIds,
      prompts: new PacedPromptEncoder(
        promptEncoder(tokenizer, await ChatTemplate.load(directory)),
        directory,
      ),
      vocabulary: tokenizer,
      capacity: 2 * streams,
    },
    registry,
    observe: (event) => observe(event),
  });
  const status = readiness(router, registry, () => false);
  const observe = observeEngine({ registry, metrics, print: () => {} });
  const app = createApp({
    router,
    models: modelCatalogue("base", registry),
    status,
    metrics,
    apiKeys: [],
    limits: new RateLimits(),
    maxBodyBytes: 4 * 2 ** 20,
  });
  const probe = new DelayProbe();
  listen({
    host: "127.0.0.1",
    port: 0,
    what: "no model",
    handler: (request, info) =>
      request.url.endsWith("/bench/load") ? Response.json(probe.take()) : app.fetch(request, info),
  });
  Deno.addSignalListener("SIGTERM", () => supervisor.stop());
  await supervisor.stopped;
  Deno.exit(0);
}

if (import.meta.main) {
  const [streams, stepMs] = Deno.args.map(Number);
  await serve(streams ?? 1, stepMs ?? 0);
}
