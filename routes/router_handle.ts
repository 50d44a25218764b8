import type { Receiver } from "../actors/channel.ts";
import type { GenerationRequest, StreamEvent } from "../actors/request_router/protocol.ts";
import type { RequestId } from "../memory/ids.ts";

/** What the routes need of the request router; neither call waits. */
export interface RequestRouterHandle {
  submit(request: GenerationRequest): Submission;
  /** Ends a request whose reader has gone; unknown and ended requests are ignored. */
  cancel(request: RequestId): void;
}

/** Taking an event from `events` lets the router make another one: nothing else holds a stream back. */
export type Submission =
  | {
    readonly kind: "accepted";
    readonly events: Pick<Receiver<StreamEvent>, "receive" | "tryReceive">;
  }
  | { readonly kind: "full" }
  | { readonly kind: "not_ready" };
