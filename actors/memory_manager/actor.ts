import type { Epoch } from "../../memory/ids.ts";
import type { MemoryShape } from "../../memory/memory_plan.ts";
import type { Behavior, Next } from "../actor.ts";
import type * as BatchFormer from "../batch_former/protocol.ts";
import type { Sender } from "../channel.ts";
import type * as Executor from "../executor/protocol.ts";
import type * as Loader from "../loader/protocol.ts";
import type { EngineEvent } from "../request_router/protocol.ts";
import type { SharedGarbage } from "../shared_garbage.ts";
import { MemoryManager, type ResidencyLimits } from "./manager.ts";
import type { Command } from "./protocol.ts";

export interface MemoryManagerWiring {
  readonly shape: MemoryShape;
  readonly limits: ResidencyLimits;
  readonly epoch: Epoch;
  readonly loader: Sender<Loader.Command>;
  readonly executor: Sender<Executor.Command>;
  readonly former: Sender<BatchFormer.Command>;
  readonly outbox: Sender<EngineEvent>;
  readonly garbage?: SharedGarbage;
}

/** The actor that owns page numbers and adapter images. */
export function memoryManager(wiring: MemoryManagerWiring): Behavior<MemoryManager, Command> {
  const { shape, epoch, limits, loader, executor, former, outbox, garbage } = wiring;
  let failure: unknown = null;
  // Not awaited: loader and executor send here too, and two full mailboxes would wait for each other. What is
  // under way stays bounded: a few loads, and uploads of adapters that have pages.
  const post = <M>(sender: Sender<M>, message: M) => {
    sender.send(message).catch((error) => failure ??= error);
  };
  return {
    name: "memory_manager",
    start: () => new MemoryManager(shape, epoch, limits),
    async handle(manager, command): Promise<Next> {
      const now = performance.now();
      const effects = manager.handle(command, now);
      garbage?.dropped(manager.dropped, now);
      for (const message of effects.loader) post(loader, message);
      for (const message of effects.executor) post(executor, message);
      for (const message of effects.former) await former.send(message);
      for (const event of effects.events) await outbox.send(event);
      if (failure) throw failure;
      return "continue";
    },
  };
}
