import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChannelClosedError } from "../../actors/channel.ts";
import { openPort } from "../../actors/port_channel.ts";
import { type Sample, testChannel } from "./channel_conformance.ts";

testChannel("openPort() on a MessageChannel", (capacity) => {
  const { port1, port2 } = new MessageChannel();
  const near = openPort<Sample, never>(port1, { capacity });
  const far = openPort<never, Sample>(port2, { capacity });
  return {
    sender: near.sender,
    receiver: far.receiver,
    [Symbol.asyncDispose]: () => {
      near.close();
      far.close();
      return Promise.resolve();
    },
  };
}, { slack: 0 });

testChannel("openPort() through a Worker", (capacity) => {
  const worker = echoWorker(capacity);
  const link = openPort<Sample, Sample>(worker, { capacity });
  return {
    sender: link.sender,
    receiver: link.receiver,
    [Symbol.asyncDispose]: () => Promise.resolve(worker.terminate()),
  };
}, { slack: 4 }); // the way back holds three more, the worker has one in hand

function echoWorker(capacity: number): Worker {
  const url = new URL("../support/echo_worker.ts", import.meta.url);
  return new Worker(url, { type: "module", name: String(capacity) });
}

Deno.test("openPort() lets close() end both directions at both ends", async () => {
  const { port1, port2 } = new MessageChannel();
  const near = openPort<number, number>(port1, { capacity: 2 });
  const far = openPort<number, number>(port2, { capacity: 2 });
  await near.sender.send(1);
  const waiting = assertRejects(() => near.receiver.receive(), Error, "out of memory");
  far.close(new Error("out of memory"));
  await waiting;
  await assertRejects(() => near.sender.send(2), ChannelClosedError);
  await assertRejects(() => far.sender.send(2), ChannelClosedError);
  assertEquals(far.receiver.tryReceive().state, "closed");
});

Deno.test("openPort() tells a worker that was not listening yet that the link is closed", async () => {
  const worker = echoWorker(1);
  const ended = new Promise<void>((resolve) => {
    worker.addEventListener("message", (event) => event.data.kind === "ended" && resolve());
  });
  openPort(worker, { capacity: 1 }).close();
  await ended;
  worker.terminate();
});

Deno.test("openPort() rejects a message that cannot be cloned and goes on", async () => {
  const { port1, port2 } = new MessageChannel();
  const near = openPort<unknown, never>(port1, { capacity: 1 });
  const far = openPort<never, unknown>(port2, { capacity: 1 });
  await near.sender.send("first");
  const waiting = assertRejects(() => near.sender.send(() => {}), DOMException);
  assertEquals(await far.receiver.receive(), "first");
  await waiting;
  await near.sender.send("second");
  assertEquals(await far.receiver.receive(), "second");
  near.close();
});

Deno.test("openPort() closes on a peer that posts more than its credit", async () => {
  const { port1, port2 } = new MessageChannel();
  const near = openPort<number, number>(port1, { capacity: 1 });
  port2.start();
  for (let message = 0; message < 3; message++) port2.postMessage({ kind: "message", message });
  // Several turns: when this thread comes back from elsewhere, one timer may be before the messages.
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(near.receiver.tryReceive(), { state: "ok", value: 0 });
  const end = near.receiver.tryReceive();
  assert(end.state === "closed" && end.reason instanceof RangeError);
  port2.close();
});

Deno.test("collect() makes the peer collect its garbage", async () => {
  const { port1, port2 } = new MessageChannel();
  const near = openPort<number, number>(port1, { capacity: 1 });
  const far = openPort<number, number>(port2, { capacity: 1 });
  const { gc } = globalThis;
  let collections = 0;
  globalThis.gc = () => void collections++;
  try {
    near.collect();
    await near.sender.send(1);
    await far.receiver.receive();
  } finally {
    globalThis.gc = gc;
  }
  assertEquals(collections, 1);
  near.close();
});
