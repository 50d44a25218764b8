import type { AdapterId, Epoch, RequestId } from "../../memory/ids.ts";
import type { EngineCommand } from "../engine_protocol.ts";
import type { AdmissionBounds } from "./admission.ts";
import type { Encoding, PromptEncoder } from "./prompt_encoder.ts";
import type { ClientCommand, EngineEvent, EngineLimits, StreamEvent } from "./protocol.ts";
import type { Vocabulary } from "./text_stream.ts";

/** What the router hears; `encoded` it says to itself, when a prompt that had to wait is ready. */
export type RouterMessage =
  | ClientCommand
  | RouterEvent
  | { readonly kind: "encoded"; readonly request: RequestId; readonly encoding: Encoding };

/** What the engine says that concerns requests; the rest is for the keeper of the engine. */
export type RouterEvent = Extract<
  EngineEvent,
  { kind: "engine_ready" | "engine_lost" | "start_failed" | "progressed" }
>;

/** What the front knows of its engine. Recovering: it was there, and another one is being started. */
export interface EngineStatus {
  readonly phase: "starting" | "ready" | "recovering" | "failed";
  readonly limits: EngineLimits | null;
  /** Why there is no engine, where that is known. */
  readonly reason: string | null;
}

/** Where the router's answers go; none of these waits. */
export interface RouterOutputs {
  /** False where nobody reads this request's events any more. */
  emit(request: RequestId, event: StreamEvent): boolean;
  /** To the engine of this epoch; for any other it is dropped. */
  command(epoch: Epoch, command: EngineCommand): void;
  status(status: EngineStatus): void;
  /** Back to the router's own mailbox. */
  later(message: RouterMessage): void;
  /** The router itself is over: whoever still reads is to be told so. */
  abandon(reason: string): void;
}

export interface RouterOptions extends Omit<AdmissionBounds, "limits" | "adapterPages"> {
  readonly prompts: PromptEncoder;
  readonly vocabulary: Vocabulary;
  /** Requests held at once, running ones included. */
  readonly capacity: number;
  /** Pages of a layer's pool that a request with these adapters cannot have for its tokens; none where absent. */
  readonly adapterPages?: (adapters: readonly AdapterId[]) => number;
  /** Tokens of a request that may be made ahead of its reader. */
  readonly window: number;
  /**
   * A request has started when there is something of it, not when it waits: as long as it may still be given up, its
   * reader is to be able to say so with a status.
   */
  readonly lateStart?: boolean;
}
