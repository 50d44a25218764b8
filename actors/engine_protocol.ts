import type { AdapterId, RequestId } from "../memory/ids.ts";
import type { Sequence } from "./batch_former/protocol.ts";

/** What the front process says to the engine process over the unix socket; the answers are `EngineEvent`s. */
export type EngineCommand =
  | { readonly kind: "submit"; readonly sequence: Sequence }
  | { readonly kind: "cancel"; readonly request: RequestId }
  | { readonly kind: "extend_credit"; readonly request: RequestId; readonly tokens: number }
  | { readonly kind: "register"; readonly adapter: AdapterId; readonly path: string }
  | { readonly kind: "ping"; readonly sequence: number };
