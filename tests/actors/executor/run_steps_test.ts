import { assert, assertEquals } from "@std/assert";
import { Channel } from "../../../actors/channel.ts";
import type { PreparedStep } from "../../../actors/executor/executor.ts";
import type { Command, Event, Uploaded } from "../../../actors/executor/protocol.ts";
import { runSteps, type StepRunner } from "../../../actors/executor/run_steps.ts";
import { StepTimer } from "../../../actors/executor/step_timer.ts";
import { adapterId, slotId, stepId } from "../../../memory/ids.ts";

/** Writes down what it is told; an upload takes three slices. */
class Recorder implements StepRunner {
  readonly log: string[] = [];
  readonly overlaps: boolean;
  /** What each step says that it took the GPU. */
  readonly #gpuSeconds: number;
  /** An upload was told that it may wait while a step runs. */
  waited = false;
  #slices = 0;

  constructor(overlaps: boolean, gpuSeconds = 0) {
    this.overlaps = overlaps;
    this.#gpuSeconds = gpuSeconds;
  }
  get uploading(): boolean {
    return this.#slices > 0;
  }
  apply(command: Exclude<Command, { kind: "step" }>): void {
    this.log.push(command.kind);
    if (command.kind === "upload") this.#slices += 3;
  }
  prepare({ step, rows }: Extract<Command, { kind: "step" }>): PreparedStep {
    this.log.push(`prepare ${step}`);
    const timer = new StepTimer();
    timer.seconds.gpu = this.#gpuSeconds;
    return { step, rows, timer, bytes: 4 } as unknown as PreparedStep;
  }
  submit({ step }: PreparedStep): void {
    this.log.push(`submit ${step}`);
  }
  finish({ step }: PreparedStep) {
    this.log.push(`finish ${step}`);
    return Promise.resolve([]);
  }
  uploadSome(wait = true): Promise<readonly Uploaded[]> {
    this.waited ||= wait && this.log.at(-1)?.startsWith("submit") === true;
    if (this.#slices === 0) return Promise.resolve([]);
    this.log.push("slice");
    if (--this.#slices > 0) return Promise.resolve([]);
    return Promise.resolve([{ kind: "uploaded", adapter: adapterId("a"), bytes: 3, seconds: 0 }]);
  }
}

const upload = { kind: "upload", adapter: adapterId("a") } as unknown as Command;
const close: Command = { kind: "close", slot: slotId(1) };
const step = (n: number): Command => ({ kind: "step", step: stepId(n), rows: [] });

/** Runs until `count` events have come. */
async function run(commands: readonly Command[], count: number, overlaps = false) {
  const executor = new Recorder(overlaps);
  const inbox = new Channel<Command>({ capacity: 64 });
  const events = new Channel<Event>({ capacity: 64 });
  for (const command of commands) inbox.trySend(command);
  const ended = runSteps(executor, inbox, events).catch(() => {});
  const seen: string[] = [];
  while (seen.length < count) {
    const event = await events.receive();
    seen.push(event.kind === "stepped" ? `stepped ${event.step}` : event.kind);
  }
  inbox.close();
  await ended;
  assert(!executor.waited);
  return { log: executor.log, seen };
}

Deno.test("with every step goes one step's worth of an upload, told before the step that was waited for", async () => {
  const { log, seen } = await run([upload, step(1), step(2), step(3), step(4)], 5);
  assertEquals(log.slice(0, 15), [
    "upload",
    "prepare 1",
    "submit 1",
    "slice",
    "prepare 2",
    "slice",
    "finish 1",
    "submit 2",
    "prepare 3",
    "slice",
    "finish 2",
    "submit 3",
    "prepare 4",
    "finish 3",
    "submit 4",
  ]);
  assertEquals(seen, ["stepped 1", "uploaded", "stepped 2", "stepped 3", "stepped 4"]);
});

Deno.test("without steps the slices follow each other, and other commands are done in between", async () => {
  const { log, seen } = await run([upload, close], 1);
  assertEquals(log, ["upload", "close", "slice", "slice", "slice"]);
  assertEquals(seen, ["uploaded"]);
});

Deno.test("a step that is there goes before the slices", async () => {
  const { log } = await run([upload, step(1)], 2);
  assertEquals(log, ["upload", "prepare 1", "submit 1", "slice", "slice", "finish 1", "slice"]);
});

Deno.test("where a read waits for its own step alone, the next step goes ahead of the slice", async () => {
  const { log } = await run([upload, step(1), step(2)], 3, true);
  assertEquals(log.slice(0, 9), [
    "upload",
    "prepare 1",
    "submit 1",
    "slice",
    "prepare 2",
    "submit 2",
    "slice",
    "finish 1",
    "slice",
  ]);
});

Deno.test("where steps are long, one that comes a little late still goes ahead of the wait for the one before it", async () => {
  const orders = await Promise.all([0, 0.02].map(async (gpuSeconds) => {
    const executor = new Recorder(true, gpuSeconds);
    const inbox = new Channel<Command>({ capacity: 64 });
    const events = new Channel<Event>({ capacity: 64 });
    for (let n = 1; n <= 5; n++) inbox.trySend(step(n));
    const ended = runSteps(executor, inbox, events).catch(() => {});
    for (let n = 1; n <= 4; n++) await events.receive();
    await new Promise((resolve) => setTimeout(resolve, 5));
    inbox.trySend(step(6));
    for (let n = 5; n <= 6; n++) await events.receive();
    inbox.close();
    await ended;
    return executor.log.indexOf("submit 6") < executor.log.indexOf("finish 5");
  }));
  assertEquals(orders, [false, true]);
});
