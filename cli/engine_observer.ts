import type { EngineEvent } from "../actors/request_router/protocol.ts";
import type { AdapterId } from "../memory/ids.ts";
import type { AdapterRegistry } from "../actors/request_router/registry.ts";
import type { Metrics } from "../routes/metrics_registry.ts";
import { createProgress, type Progress } from "./progress.ts";

/** What the operator and /metrics are told of the engine. */
export function observeEngine(
  { registry, metrics, progress = createProgress(), print = (line) => console.error(line) }: {
    readonly registry: AdapterRegistry;
    readonly metrics: Pick<Metrics, "load" | "lost" | "limits">;
    readonly progress?: Progress;
    readonly print?: (line: string) => void;
  },
): (event: EngineEvent) => void {
  const nameOf = (id: AdapterId) => registry.namesOf(id)[0] ?? id;
  let hopeless = false;
  let adaptersTold = "";
  return (event) => {
    switch (event.kind) {
      case "progress":
        return progress.update(event.label, event.done, event.total, event.unit);
      case "engine_ready": {
        const { device, provider, software, maxModelLen, poolTokens } = event.limits;
        progress.stop();
        metrics.limits(event.limits);
        if (software) {
          print(`WARNING: no GPU, running on the CPU through ${device}: correct, but very slow.`);
        }
        return print(
          `Ready on ${device} (${provider}), sequences of up to ${maxModelLen} tokens, ` +
            `a pool of ${poolTokens} tokens.`,
        );
      }
      case "adapter_registered":
      case "adapter_rejected": {
        if (event.kind === "adapter_rejected") print(`${nameOf(event.adapter)}: ${event.error}`);
        const { decided, all } = registry.progress;
        // An engine that comes after another one says again what is known of all of them.
        const count = `${decided} of ${all}`;
        if (count !== adaptersTold) progress.update("adapters", decided, all, "adapters");
        adaptersTold = count;
        return;
      }
      case "engine_lost":
        progress.stop();
        metrics.lost();
        // Its end is no news where it has said that it cannot start.
        if (!hopeless) print(`The engine is lost: ${event.reason}`);
        return;
      case "start_failed":
        hopeless = true;
        progress.stop();
        return print(`The engine cannot run: ${event.error}`);
      case "load_changed":
        return metrics.load(event.load);
      case "progressed":
      case "adapter_pinned":
      case "adapters_listed":
      case "pong":
        return;
      default:
        event satisfies never;
    }
  };
}
