import { setImmediate } from "node:timers/promises";
import type { Receiver, Sender } from "../channel.ts";
import { messageOf } from "../message_of.ts";
import type { Executor, PreparedStep } from "./executor.ts";
import { Patience } from "./patience.ts";
import type { Command, Event } from "./protocol.ts";

/** What of an executor the loop needs. */
export type StepRunner = Pick<
  Executor,
  "apply" | "prepare" | "submit" | "finish" | "overlaps" | "uploading" | "uploadSome"
>;

/**
 * The executor's loop. Step N + 1 is prepared while N runs and submitted as soon as N is read back, so the
 * GPU waits for a submit, not for the host's planning and encoding. Where a read waits for its own step alone
 * (Dawn; the built-in provider waits for all submitted work), N + 1 is submitted first and the GPU never waits.
 * Adapters go up in slices, one after another while there are no steps. With steps, one step's worth goes while the
 * running one is waited for: what is said to be uploaded then may take part in the very next plan.
 */
export async function runSteps(
  executor: StepRunner,
  commands: Receiver<Command>,
  events: Sender<Event>,
): Promise<void> {
  const patience = new Patience();
  let running: PreparedStep | null = null;
  /** Until when the step after the running one is waited for. */
  let deadline = 0;
  while (true) {
    const command: Command | null = running
      ? await within(commands, deadline - performance.now())
      : executor.uploading
      ? await atOnce(commands)
      : await commands.receive();
    if (command !== null && command.kind !== "step") {
      executor.apply(command);
      continue;
    }
    if (command === null && running === null) {
      for (const event of await executor.uploadSome()) await events.send(event);
      continue;
    }
    let prepared: PreparedStep | null = null;
    try {
      prepared = command && executor.prepare(command);
      const finished = running;
      const ahead = executor.overlaps || !finished;
      if (prepared && ahead) executor.submit(prepared);
      // The host is free while a step runs: what it copies now keeps nobody waiting.
      for (const event of await executor.uploadSome(false)) await events.send(event);
      const rows = finished && await executor.finish(finished);
      if (prepared && !ahead) executor.submit(prepared);
      running = prepared;
      if (finished && rows) {
        const { step, timer: { seconds } } = finished;
        // Without results nothing was waited for, however long it takes.
        if (finished.bytes > 0) patience.took(seconds.gpu);
        await events.send({ kind: "stepped", step, rows, seconds });
      }
      deadline = performance.now() + patience.milliseconds;
    } catch (error) {
      const step = running?.step ?? command?.step;
      if (step !== undefined) {
        await events.send({ kind: "step_failed", step, error: messageOf(error) });
      }
      return;
    }
  }
}

/** The next command, or null where none is there; the thread's messages are let in first. */
async function atOnce(commands: Receiver<Command>): Promise<Command | null> {
  await setImmediate();
  const next = commands.tryReceive();
  if (next.state === "closed") return await commands.receive(); // which says why
  return next.state === "ok" ? next.value : null;
}

/** The next command, or null when none comes in time; nothing is lost either way. */
async function within(commands: Receiver<Command>, milliseconds: number): Promise<Command | null> {
  const ready = commands.tryReceive();
  if (ready.state === "ok") return ready.value;
  if (ready.state === "empty" && milliseconds <= 0) return null;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), milliseconds);
  try {
    return await commands.receive(late.signal);
  } catch (error) {
    if (late.signal.aborted) return null;
    throw error;
  } finally {
    clearTimeout(timer);
  }
}
