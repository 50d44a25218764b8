import type { StreamEvent } from "../actors/request_router/protocol.ts";

/** Follows one sequence's events as its reader takes them: its times, or what its tenant is charged. */
export interface SequenceObserver {
  see(event: StreamEvent): void;
}
