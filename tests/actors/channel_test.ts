import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Channel, ChannelClosedError } from "../../actors/channel.ts";
import { type Sample, testChannel } from "./channel_conformance.ts";

testChannel("Channel", (capacity) => {
  const channel = new Channel<Sample>({ capacity });
  return { sender: channel, receiver: channel, [Symbol.asyncDispose]: () => Promise.resolve() };
}, { slack: 0 });

Deno.test("Channel takes a positive integer as capacity", () => {
  for (const capacity of [0, -1, 1.5, NaN, Infinity]) {
    assertThrows(() => new Channel({ capacity }), RangeError, `received ${capacity}`);
  }
});

Deno.test("Channel.close() rejects senders that wait and keeps the buffer", async () => {
  const channel = new Channel<number>({ capacity: 1 });
  await channel.send(1);
  const waiting = assertRejects(() => channel.send(2), ChannelClosedError, "Cannot send");
  channel.close();
  await waiting;
  assertEquals(channel.tryReceive(), { state: "ok", value: 1 });
  assertEquals(channel.tryReceive(), { state: "closed", reason: null });
});

Deno.test("Channel calls onTake once for each message, handed over or buffered", async () => {
  const taken: number[] = [];
  const channel = new Channel<number>({ capacity: 2, onTake: (message) => taken.push(message) });
  await channel.send(1);
  assertEquals(taken, []);
  await channel.receive();
  const waiting = channel.receive();
  await channel.send(2);
  await waiting;
  assertEquals(taken, [1, 2]);
});
