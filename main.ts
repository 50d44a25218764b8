// The front process: HTTP, the request router with its ledger, and the engine process that it keeps alive.
import { fileURLToPath } from "node:url";
import { startSystem } from "./actors/system.ts";
import { PacedPromptEncoder } from "./actors/request_router/paced_prompt_encoder.ts";
import { promptEncoder } from "./actors/request_router/prompt_encoder.ts";
import { AdapterRegistry } from "./actors/request_router/registry.ts";
import { AdapterSupply } from "./cli/adapter_supply.ts";
import { readApiKeys } from "./cli/api_keys.ts";
import { CommanderError } from "commander";
import { type Config, ConfigError, parseConfig } from "./cli/config.ts";
import { engineSettings } from "./cli/engine_settings.ts";
import { explainError } from "./cli/explain_error.ts";
import { observeEngine } from "./cli/engine_observer.ts";
import { drainOnSignal } from "./cli/drain.ts";
import { listen } from "./cli/listen.ts";
import { configureLogging } from "./cli/logging.ts";
import { modelCatalogue } from "./cli/model_catalogue.ts";
import { enginePermissions, throughLinks } from "./cli/permissions.ts";
import { readiness } from "./cli/readiness.ts";
import { TenantFile } from "./cli/tenant_file.ts";
import { ChatTemplate } from "./models/chat_template.ts";
import { Checkpoint } from "./models/checkpoint.ts";
import { loadModelConfig } from "./models/parse_config.ts";
import { Tokenizer } from "./models/tokenizer.ts";
import { createAdminApp } from "./routes/admin_app.ts";
import { createApp } from "./routes/app.ts";
import { Metrics } from "./routes/metrics_registry.ts";
import { RateLimits } from "./routes/rate_limits.ts";

const ROOT = fileURLToPath(new URL("./", import.meta.url));
/** How often the tenant file is looked at. */
const TENANTS_MS = 1000;
const DEMO = `${ROOT}models/demo`;

async function serve(config: Config): Promise<void> {
  await configureLogging();
  const demo = config.model === undefined;
  const directory = config.model ?? `${DEMO}/base`;
  const base = config.name ??
    (demo ? "demo" : directory.replace(/\/+$/, "").split("/").pop() ?? "base");

  const apiKeys = await readApiKeys(config);
  const tenants = config.tenantFile === undefined ? null : await TenantFile.open(config.tenantFile);
  tenants?.watch(TENANTS_MS);
  const model = await loadModelConfig(directory);
  // The engine opens them in several threads, of which any may end it first, for a restart: told here, and once.
  Checkpoint.open(directory)[Symbol.dispose]();
  const tokenizer = await Tokenizer.load(directory);
  const registry = new AdapterRegistry();
  const supply = await AdapterSupply.open({
    registry,
    parent: base,
    directory: config.adapters ?? (demo ? `${DEMO}/adapters` : undefined),
    roots: config.adapterRoots,
    places: () => places(),
  });
  const directories = await throughLinks(directory, [ROOT, ...supply.roots]);

  const { router, supervisor, places } = startSystem({
    engine: engineSettings(config, directory),
    engineProgram: (socket) => [
      "run",
      ...enginePermissions({
        socket,
        directories,
        dawn: config.gpu !== "builtin",
      }),
      // Dropped images must be collected (actors/shared_garbage.ts), and what Dawn leaves (kernels/dawn_pace.ts).
      "--v8-flags=--expose-gc",
      `${ROOT}actors/engine.ts`,
    ],
    router: {
      vocabSize: model.vocabSize,
      eosTokenIds: [...new Set([...model.eosTokenIds, ...tokenizer.eosTokenIds])],
      prompts: new PacedPromptEncoder(
        promptEncoder(tokenizer, await ChatTemplate.load(directory)),
        directory,
      ),
      vocabulary: tokenizer,
      capacity: config.maxQueued,
      lateStart: config.policy.includes("abort"),
    },
    registry,
    observe: (event) => observe(event),
  });
  const draining = drainOnSignal({
    router,
    supervisor,
    hangUp: () => server.shutdown(),
    seconds: config.drainSeconds,
  });
  const status = readiness(router, registry, draining, () => supply.listed);
  const metrics = new Metrics(() => status().ready, {
    names: registry,
    ...config.metricsPerAdapter === "on" && {
      isModel: (name) => name === base || registry.get(name) !== null,
    },
  });
  const observe = observeEngine({ registry, metrics });
  const app = createApp({
    router,
    models: modelCatalogue(base, registry),
    status,
    metrics,
    apiKeys,
    ...(tenants && { tenants }),
    adapters: supply.desk,
    // With a port of their own, admins have no business here.
    ...(config.adminKey !== undefined && config.adminPort === undefined &&
      { adminKey: config.adminKey }),
    limits: new RateLimits(),
    priorities: config.policy.includes("priority"),
    adapterWeights: config.adapterWeights,
    maxBodyBytes: config.maxBodyBytes,
  });
  const server = listen({ ...config, handler: app.fetch, what: `loading ${base}` });
  if (config.adminPort !== undefined) {
    const adminApp = createAdminApp({
      ...config,
      adapters: supply.desk,
      metrics,
      adminKey: config.adminKey ?? null,
    });
    listen({
      host: config.adminHost,
      port: config.adminPort,
      handler: adminApp.fetch,
      what: "for admins",
    });
  }
  // Not for ever: a disk that hangs must not hide that the engine has given up.
  const exit = await Promise.race([
    supervisor.stopped,
    supply.start().then(() => supervisor.stopped),
  ]);
  if (exit.kind === "crashed") Deno.exit(1);
}

try {
  await serve(parseConfig(Deno.args, Deno.env));
} catch (error) {
  if (error instanceof CommanderError) Deno.exit(error.exitCode === 0 ? 0 : 2);
  console.error(explainError(error));
  Deno.exit(error instanceof ConfigError ? 2 : 1);
}
