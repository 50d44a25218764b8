import type * as Executor from "../executor/protocol.ts";
import type * as MemoryManager from "../memory_manager/protocol.ts";
import type { Output } from "./protocol.ts";

/** What the batch former has to say to its neighbours, in the order in which it must be said to each. */
export class Effects {
  readonly memory: MemoryManager.Command[] = [];
  readonly executor: Executor.Command[] = [];
  readonly outputs: Output[] = [];
}
