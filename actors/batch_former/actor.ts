import type { Epoch } from "../../memory/ids.ts";
import type { Behavior, Next } from "../actor.ts";
import type { Received, Receiver, Sender } from "../channel.ts";
import type * as Executor from "../executor/protocol.ts";
import type * as MemoryManager from "../memory_manager/protocol.ts";
import type { EngineEvent } from "../request_router/protocol.ts";
import type { Command } from "./protocol.ts";
import type { Effects } from "./effects.ts";
import { LoadReport } from "./load_report.ts";
import { Scheduler } from "./scheduler.ts";
import type { SchedulerLimits } from "./scheduler_limits.ts";

export interface BatchFormerWiring {
  readonly limits: SchedulerLimits;
  readonly epoch: Epoch;
  /** The actor's own mailbox: it is emptied before each plan, so that what waits there can take part. */
  readonly mailbox: Receiver<Command>;
  readonly memory: Sender<MemoryManager.Command>;
  readonly executor: Sender<Executor.Command>;
  readonly outbox: Sender<EngineEvent>;
}

const LOAD_PERIOD_MS = 100;
/** A message is one turn of the front's event loop, some 30 us an output: timers and new requests wait for it. */
const OUTPUTS_A_MESSAGE = 64;

/** The actor that owns the queue of sequences and forms the steps. */
export function batchFormer(wiring: BatchFormerWiring): Behavior<Scheduler, Command> {
  const { epoch, mailbox, outbox } = wiring;
  const report = new LoadReport(LOAD_PERIOD_MS);
  let failure: unknown = null;
  // Not awaited: manager and executor send here too, and three full mailboxes would wait for each other.
  // What is under way stays bounded: one plan, two steps, and one release, open and close a sequence.
  const post = <M>(sender: Sender<M>, message: M) => {
    sender.send(message).catch((error) => failure ??= error);
  };
  async function tell({ memory, executor, outputs }: Effects): Promise<void> {
    for (const message of memory) post(wiring.memory, message);
    for (const message of executor) post(wiring.executor, message);
    for (let at = 0; at < outputs.length; at += OUTPUTS_A_MESSAGE) {
      const some = outputs.slice(at, at + OUTPUTS_A_MESSAGE);
      await outbox.send({ kind: "progressed", epoch, outputs: some });
    }
  }
  return {
    name: "batch_former",
    start: () => new Scheduler(wiring.limits),
    async handle(scheduler, command): Promise<Next> {
      let next: Received<Command> = { state: "ok", value: command };
      for (; next.state === "ok"; next = mailbox.tryReceive()) {
        scheduler.handle(next.value, performance.now());
        await tell(scheduler.takeEffects());
      }
      scheduler.plan(performance.now());
      await tell(scheduler.takeEffects());
      if (failure) throw failure;
      const load = report.next(scheduler.load, scheduler.idle, performance.now());
      if (load) await outbox.send({ kind: "load_changed", epoch, load });
      return "continue";
    },
  };
}
