import { type Actor, spawn } from "./actor.ts";
import { Channel } from "./channel.ts";
import type { EngineOptions } from "./engine_options.ts";
import type { AdapterId } from "../memory/ids.ts";
import { requestRouter } from "./request_router/actor.ts";
import { EngineLink } from "./request_router/engine_link.ts";
import { RequestRouter } from "./request_router/handle.ts";
import type { RouterMessage, RouterOptions } from "./request_router/ports.ts";
import type { AdapterPlaces, EngineEvent } from "./request_router/protocol.ts";
import type { AdapterRegistry } from "./request_router/registry.ts";
import { supervise } from "./supervisor.ts";

export interface SystemOptions {
  readonly engine: Omit<EngineOptions, "socket" | "epoch">;
  /** The engine program that connects to `socket`: arguments to this Deno, the engine's own options follow. */
  readonly engineProgram: (socket: string) => readonly string[];
  readonly router: Omit<RouterOptions, "window">;
  readonly registry: AdapterRegistry;
  readonly observe: (event: EngineEvent) => void;
}

/** The front's actors: the router with its ledger, and the engine process. */
export interface System {
  readonly router: RequestRouter;
  readonly supervisor: Actor;
  /** Where adapters are; null where there is no engine to say so. */
  readonly places: () => Promise<AdapterPlaces | null>;
}

/** Messages that may wait; a full router answers 429, everything inside waits instead. */
const CAPACITY = { router: 4096, engine: 1024 } as const;
/** Tokens that may be made ahead of a stream's reader. */
const WINDOW = 128;

/** The supervision table of the front process, in start order. */
export function startSystem(options: SystemOptions): System {
  const mailbox = new Channel<RouterMessage>({ capacity: CAPACITY.router });
  const { capacity } = options.router;
  const { registry } = options;
  const router = new RequestRouter({ mailbox, capacity, window: WINDOW, adapters: registry });
  const adapterPages = (adapters: readonly AdapterId[]) => registry.pages(adapters);
  let engine: EngineLink | null = null;

  const supervisor = supervise([
    {
      name: "request_router",
      restart: "permanent",
      start: () =>
        spawn(
          requestRouter({ ...options.router, window: WINDOW, adapterPages }, {
            emit: (request, event) => router.emit(request, event),
            status: (status) => router.status(status),
            abandon: (reason) => router.abandon(reason),
            later: (message) => router.later(message),
            command: (epoch, command) => engine?.send(epoch, command),
          }),
          mailbox,
        ),
    },
    {
      name: "engine",
      // It restarts its process by itself; when it gives up, so does the front.
      restart: "permanent",
      significant: true,
      shutdownMs: 7000,
      start: () =>
        engine = new EngineLink({
          args: (socket, epoch) => [
            ...options.engineProgram(socket),
            JSON.stringify({ ...options.engine, socket, epoch } satisfies EngineOptions),
          ],
          capacity: CAPACITY.engine,
          connectMs: 30_000,
          registry,
          deliver: mailbox,
          observe: options.observe,
          pingMs: 1000,
          missedPings: 30,
          backoffMs: 100,
          tolerance: { restarts: 5, periodMs: 60_000 },
          stopMs: 5000,
        }),
    },
  ], { name: "front", strategy: "rest_for_one" });
  return { router, supervisor, places: async () => await engine?.places() ?? null };
}
