import type { Policy } from "./policy.ts";

/**
 * First come, first served: one that does not fit lets others pass, until it has waited `agingMs` for room.
 * A job that had to give up its pages lets nobody pass: memory is short as it is.
 */
export function fcfs(agingMs: number): Policy {
  return {
    bars: ({ begun, blockedSince, crowded }, now) =>
      blockedSince !== null && !crowded && (begun || now - blockedSince >= agingMs),
  };
}
