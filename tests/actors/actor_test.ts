import { assert, assertEquals, assertRejects } from "@std/assert";
import { type Behavior, type Exit, spawn } from "../../actors/actor.ts";
import { Channel } from "../../actors/channel.ts";

type Message = { kind: "add"; amount: number } | { kind: "stop" } | { kind: "crash" };

interface Adder {
  sum: number;
}

function adder(log: { sums: number[]; ends: Exit[] }): Behavior<Adder, Message> {
  return {
    name: "adder",
    start: () => ({ sum: 0 }),
    async handle(state, message) {
      await Promise.resolve();
      if (message.kind === "stop") return "stop";
      if (message.kind === "crash") throw new Error("no longer");
      log.sums.push(state.sum += message.amount);
      return "continue";
    },
    end: (_, exit) => void log.ends.push(exit),
  };
}

Deno.test("spawn() handles messages one at a time until the handler says stop", async () => {
  const log = { sums: [] as number[], ends: [] as Exit[] };
  const mailbox = new Channel<Message>({ capacity: 8 });
  const actor = spawn(adder(log), mailbox);
  await actor.ready;
  for (const amount of [1, 2, 3]) await mailbox.send({ kind: "add", amount });
  await mailbox.send({ kind: "stop" });
  await mailbox.send({ kind: "add", amount: 4 });
  assertEquals(await actor.stopped, { kind: "stopped" });
  assertEquals(log, { sums: [1, 3, 6], ends: [{ kind: "stopped" }] });
  assertEquals(mailbox.size, 1);
});

Deno.test("spawn() leaves what waits to a successor at the same mailbox", async () => {
  const log = { sums: [] as number[], ends: [] as Exit[] };
  const mailbox = new Channel<Message>({ capacity: 8 });
  const first = spawn(adder(log), mailbox);
  await mailbox.send({ kind: "crash" });
  await mailbox.send({ kind: "add", amount: 5 });
  const exit = await first.stopped;
  assert(exit.kind === "crashed" && (exit.error as Error).message === "no longer");
  const second = spawn(adder(log), mailbox);
  await mailbox.send({ kind: "stop" });
  await second.stopped;
  assertEquals(log.sums, [5]);
});

Deno.test("spawn() stops an idle actor without taking a message", async () => {
  const log = { sums: [] as number[], ends: [] as Exit[] };
  const mailbox = new Channel<Message>({ capacity: 8 });
  const actor = spawn(adder(log), mailbox);
  await actor.ready;
  actor.stop();
  await mailbox.send({ kind: "add", amount: 1 });
  assertEquals(await actor.stopped, { kind: "stopped" });
  assertEquals([log.sums, mailbox.size], [[], 1]);
});

Deno.test("spawn() ends with its mailbox, in good order or with the reason", async () => {
  for (const reason of [undefined, new Error("cut")]) {
    const mailbox = new Channel<Message>({ capacity: 8 });
    const actor = spawn(adder({ sums: [], ends: [] }), mailbox);
    await actor.ready;
    mailbox.close(reason);
    const exit = await actor.stopped;
    assertEquals(exit, reason ? { kind: "crashed", error: reason } : { kind: "stopped" });
  }
});

Deno.test("spawn() tells of a start that fails through ready and stopped", async () => {
  const actor = spawn({
    name: "stillborn",
    start: () => Promise.reject(new Error("no weights")),
    handle: () => "continue" as const,
  }, new Channel<Message>({ capacity: 1 }));
  await assertRejects(() => actor.ready, Error, "no weights");
  assertEquals((await actor.stopped).kind, "crashed");
});
