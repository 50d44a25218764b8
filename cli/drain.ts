import type { Actor } from "../actors/actor.ts";
import type { RequestRouter } from "../actors/request_router/handle.ts";

/** A client that stalls within its request or its response would keep the process for ever. */
const LAST_BYTES_MS = 5000;
/** One Ctrl-C arrives twice where `deno task` passes its own on. */
const SAME_SIGNAL_MS = 1000;

/**
 * On SIGTERM or SIGINT the process admits nothing more, lets what runs finish, and exits with 0. A second signal ends
 * it at once, with 1.
 * @returns whether that has begun.
 */
export function drainOnSignal({ router, supervisor, hangUp, seconds }: {
  readonly router: Pick<RequestRouter, "drain">;
  readonly supervisor: Actor;
  /** Stops listening; resolves when all connections are closed. */
  readonly hangUp: () => Promise<void>;
  readonly seconds: number;
}): () => boolean {
  let since: number | null = null;
  const drain = async (signal: Deno.Signal) => {
    if (since !== null) {
      if (performance.now() - since > SAME_SIGNAL_MS) Deno.exit(1);
      return;
    }
    since = performance.now();
    console.error(`${signal}: no new requests; running ones have ${seconds} s`);
    await router.drain(seconds * 1000);
    supervisor.stop();
    setTimeout(() => Deno.exit(0), LAST_BYTES_MS);
    await Promise.all([supervisor.stopped, hangUp()]);
    Deno.exit(0);
  };
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    Deno.addSignalListener(signal, () => drain(signal));
  }
  return () => since !== null;
}
