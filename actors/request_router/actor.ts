import type { Behavior } from "../actor.ts";
import type { RouterMessage, RouterOptions, RouterOutputs } from "./ports.ts";
import { RouterCore } from "./router_core.ts";

/**
 * The actor that owns the ledger of live requests. It never waits while it handles a message: engine and
 * readers push back by credit, so a full channel on one side cannot stop the other.
 */
export function requestRouter(
  options: RouterOptions,
  outputs: RouterOutputs,
): Behavior<RouterCore, RouterMessage> {
  return {
    name: "request_router",
    start: () => new RouterCore(options, outputs),
    handle: (core, message) => {
      core.handle(message);
      return "continue";
    },
    end: (_, exit) =>
      outputs.abandon(
        exit.kind === "crashed" ? "the request router failed" : "the server is shutting down",
      ),
  };
}
