import type { RequestRouter } from "../actors/request_router/handle.ts";
import type { AdapterRegistry } from "../actors/request_router/registry.ts";

/** Whether requests are taken, and if not, why. */
export interface Readiness {
  readonly ready: boolean;
  readonly reason: string;
}

/** Ready once the engine is and the adapters that were there at the start are in: until then their names are unknown. */
export function readiness(
  router: Pick<RequestRouter, "engine">,
  registry: Pick<AdapterRegistry, "progress">,
  draining: () => boolean,
  /** The adapters that are there at the start have been listed. */
  listed: () => boolean = () => true,
): () => Readiness {
  let settled = false;
  return () => {
    settled ||= listed() && registry.progress.decided === registry.progress.all;
    const { phase, reason } = router.engine;
    if (draining()) return { ready: false, reason: "the server is shutting down" };
    if (phase !== "ready") return { ready: false, reason: reason ?? `the engine is ${phase}` };
    return { ready: settled, reason: settled ? "" : "adapters are loading" };
  };
}
