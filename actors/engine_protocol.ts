import type { RequestId } from "../memory/ids.ts";
import type { Sequence } from "./batch_former/protocol.ts";
import type { Command as MemoryCommand } from "./memory_manager/protocol.ts";

/** What the front process says to the engine process over the unix socket; the answers are `EngineEvent`s. */
export type EngineCommand =
  | { readonly kind: "submit"; readonly sequence: Sequence }
  | { readonly kind: "cancel"; readonly request: RequestId }
  | { readonly kind: "extend_credit"; readonly request: RequestId; readonly tokens: number }
  | AdapterCommand
  | { readonly kind: "ping"; readonly sequence: number };

/** What the memory manager hears from the front. */
export type AdapterCommand = Extract<
  MemoryCommand,
  { kind: "register" | "unregister" | "pin" | "unpin" | "list_adapters" }
>;
