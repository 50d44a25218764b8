import type * as BatchFormer from "../batch_former/protocol.ts";
import type * as Executor from "../executor/protocol.ts";
import type * as Loader from "../loader/protocol.ts";
import type { EngineEvent } from "../request_router/protocol.ts";

/** What the manager has to say to each of its neighbours, in the order in which it must be said to each. */
export interface Effects {
  readonly loader: Loader.Command[];
  readonly executor: Executor.Command[];
  readonly former: BatchFormer.Command[];
  readonly events: EngineEvent[];
}
