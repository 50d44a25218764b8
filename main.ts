// The front process: HTTP, the request router with its ledger, and the engine process that it keeps alive.
import { fileURLToPath } from "node:url";
import { startSystem } from "./actors/system.ts";
import { LongPrompts } from "./actors/request_router/long_prompts.ts";
import { promptEncoder } from "./actors/request_router/prompt_encoder.ts";
import { AdapterRegistry } from "./actors/request_router/registry.ts";
import { listAdapters } from "./cli/adapter_directory.ts";
import { readApiKeys } from "./cli/api_keys.ts";
import { CommanderError } from "commander";
import { type Config, ConfigError, parseConfig } from "./cli/config.ts";
import { observeEngine } from "./cli/engine_observer.ts";
import { configureLogging } from "./cli/logging.ts";
import { modelCatalogue } from "./cli/model_catalogue.ts";
import { ChatTemplate } from "./models/chat_template.ts";
import { loadModelConfig } from "./models/parse_config.ts";
import { Tokenizer } from "./models/tokenizer.ts";
import { createApp } from "./routes/app.ts";
import { Metrics } from "./routes/metrics_registry.ts";

const DEMO = fileURLToPath(new URL("./models/demo", import.meta.url));

async function serve(config: Config): Promise<void> {
  await configureLogging();
  const demo = config.model === undefined;
  const directory = config.model ?? `${DEMO}/base`;
  const adapters = config.adapters ?? (demo ? `${DEMO}/adapters` : undefined);
  const base = config.name ??
    (demo ? "demo" : directory.replace(/\/+$/, "").split("/").pop() ?? "base");

  const model = await loadModelConfig(directory);
  const tokenizer = await Tokenizer.load(directory);
  const registry = new AdapterRegistry();
  if (adapters !== undefined) {
    const { entries, problems } = await listAdapters(adapters, base);
    for (const problem of problems) console.error(problem);
    for (const entry of entries) registry.add(entry);
  }

  const { router, supervisor } = startSystem({
    engine: {
      modelDirectory: directory,
      gpu: config.gpu,
      dtype: config.dtype,
      maxModelLen: config.maxModelLen ?? null,
      poolBytes: config.poolBytes ?? null,
      headPoolBytes: config.headPoolBytes ?? null,
      maxBatchTokens: Math.max(config.maxBatchTokens, config.maxRunning),
      maxRunning: config.maxRunning,
      maxRoutes: 1,
    },
    engineProgram: (socket) => [
      "run",
      "--no-prompt",
      "--allow-read",
      `--allow-write=${socket}`,
      `--allow-net=unix:${socket}`,
      "--allow-env",
      // Dawn is a native addon; Deno's own WebGPU needs no permission.
      ...(config.gpu === "dawn" ? ["--allow-ffi", "--allow-sys"] : []),
      fileURLToPath(new URL("./actors/engine.ts", import.meta.url)),
    ],
    router: {
      vocabSize: model.vocabSize,
      eosTokenIds: [...new Set([...model.eosTokenIds, ...tokenizer.eosTokenIds])],
      prompts: new LongPrompts(
        promptEncoder(tokenizer, await ChatTemplate.load(directory)),
        directory,
      ),
      vocabulary: tokenizer,
      capacity: config.maxQueued,
    },
    registry,
    observe: (event) => observe(event),
  });
  // Until the adapters that were there at the start are in, their names would be unknown ones.
  let settled = false;
  const status = () => {
    settled ||= registry.list().every(({ state }) => state.kind !== "registering");
    const ready = settled && router.engine.phase === "ready";
    const reason = router.engine.reason ??
      (router.engine.phase === "ready"
        ? "adapters are loading"
        : `the engine is ${router.engine.phase}`);
    return { ready, reason };
  };
  const metrics = new Metrics(() => status().ready);
  const observe = observeEngine({ registry, metrics });
  const app = createApp({
    router,
    models: modelCatalogue(base, registry),
    status,
    metrics,
    apiKeys: await readApiKeys(config),
    maxBodyBytes: config.maxBodyBytes,
  });
  const server = Deno.serve({
    hostname: config.host,
    port: config.port,
    onListen: ({ hostname, port }) =>
      console.error(`Listening on http://${hostname}:${port} (loading ${base})`),
  }, app.fetch);

  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, async () => {
      console.error(`${signal}: no new requests; running ones have ${config.drainSeconds} s`);
      await router.drain(config.drainSeconds * 1000);
      supervisor.stop();
      await Promise.all([supervisor.stopped, server.shutdown()]);
      Deno.exit(0);
    });
  }
  const exit = await supervisor.stopped;
  if (exit.kind === "crashed") Deno.exit(1);
}

try {
  await serve(parseConfig(Deno.args, Deno.env.toObject()));
} catch (error) {
  if (error instanceof CommanderError) Deno.exit(error.exitCode === 0 ? 0 : 2);
  console.error(error instanceof Error ? error.message : String(error));
  Deno.exit(error instanceof ConfigError ? 2 : 1);
}
