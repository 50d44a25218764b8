import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChannelClosedError } from "../../actors/channel.ts";
import { encodeFrame } from "../../actors/frames.ts";
import { ConnectionLostError, openSocket } from "../../actors/socket_channel.ts";
import { type Sample, testChannel } from "./channel_conformance.ts";

async function connect(): Promise<{ near: Deno.Conn; far: Deno.Conn }> {
  const directory = await Deno.makeTempDir({ prefix: "chorus-test-" });
  const path = `${directory}/socket`;
  using listener = Deno.listen({ transport: "unix", path });
  const [near, far] = await Promise.all([
    Deno.connect({ transport: "unix", path }),
    listener.accept(),
  ]);
  await Deno.remove(directory, { recursive: true });
  return { near, far };
}

testChannel("openSocket()", async (capacity) => {
  const { near, far } = await connect();
  const sending = openSocket<Sample, never>(near, { capacity });
  const receiving = openSocket<never, Sample>(far, { capacity });
  return {
    sender: sending.sender,
    receiver: receiving.receiver,
    [Symbol.asyncDispose]: async () => {
      sending.close();
      receiving.close();
      await Promise.all([sending.ended, receiving.ended]);
    },
  };
}, { slack: 12 }); // the far inbox, a write in progress, and what the kernel buffers

Deno.test("openSocket() gives a clean error when the peer is cut off in mid-frame", async () => {
  const { near, far } = await connect();
  const link = openSocket<number, string>(far, { capacity: 4 });
  await near.write(encodeFrame("message", "whole"));
  await near.write(encodeFrame("message", "cut short").subarray(0, 7));
  near.close();
  assertEquals(await link.receiver.receive(), "whole");
  await assertRejects(
    () => link.receiver.receive(),
    ConnectionLostError,
    "it ended with 7 bytes of a frame",
  );
  await link.ended;
  await assertRejects(() => link.sender.send(1), ChannelClosedError, "the connection is lost");
});

Deno.test("openSocket() refuses a send that waits when the peer vanishes", async () => {
  const { near, far } = await connect();
  const link = openSocket<string, never>(far, { capacity: 1 });
  const sending = (async () => {
    while (true) await link.sender.send("x".repeat(65536));
  })();
  const refused = assertRejects(() => sending, ChannelClosedError);
  await new Promise((resolve) => setTimeout(resolve, 20));
  near.close();
  await refused;
  await link.ended;
});

for (
  const [what, bytes, error, message] of [
    ["an unknown kind", Uint8Array.of(0xc0, 0, 0, 2, 0x7b, 0x7d), RangeError, "kind below 3"],
    ["an absurd length", Uint8Array.of(0x3f, 255, 255, 255), RangeError, "Cannot read frame"],
    ["text that is not JSON", Uint8Array.of(0, 0, 0, 1, 0x7b), SyntaxError, 'received "{"'],
    ["bytes that are not UTF-8", Uint8Array.of(0, 0, 0, 1, 0xff), SyntaxError, "UTF-8 JSON"],
  ] as const
) {
  Deno.test(`openSocket() ends on ${what}`, async () => {
    const { near, far } = await connect();
    const link = openSocket<number, string>(far, { capacity: 4 });
    await near.write(encodeFrame("message", "good"));
    await near.write(bytes);
    assertEquals(await link.receiver.receive(), "good");
    await assertRejects(() => link.receiver.receive(), error, message);
    await link.ended;
    assertEquals(await near.read(new Uint8Array(1)), null);
    near.close();
  });
}

Deno.test("openSocket() lets close() end both directions at both ends, after what was sent", async () => {
  const { near, far } = await connect();
  const left = openSocket<number, number>(near, { capacity: 8 });
  const right = openSocket<number, number>(far, { capacity: 8 });
  const flood = (async () => {
    while (true) await right.sender.send(0);
  })();
  const refused = assertRejects(() => flood, ChannelClosedError);
  for (let i = 0; i < 5; i++) await left.sender.send(i);
  left.close(new Error("draining"));
  for (let i = 0; i < 5; i++) assertEquals(await right.receiver.receive(), i);
  await assertRejects(() => right.receiver.receive(), Error, "draining");
  await Promise.all([left.ended, right.ended]);
  await refused;
});

Deno.test("openSocket() rejects a message that JSON cannot say and goes on", async () => {
  const { near, far } = await connect();
  const left = openSocket<unknown, number>(near, { capacity: 8 });
  const right = openSocket<number, unknown>(far, { capacity: 8 });
  await assertRejects(() => left.sender.send(() => {}), TypeError, "received function");
  await assertRejects(() => left.sender.send(10n), TypeError);
  await left.sender.send("fine");
  assertEquals(await right.receiver.receive(), "fine");
  left.close();
  await Promise.all([left.ended, right.ended]);
});

Deno.test("openSocket() writes messages that are ready together at once", async () => {
  const { near, far } = await connect();
  const link = openSocket<number, never>(near, { capacity: 1000 });
  const expected = encodeFrame("message", 1).length * 1000;
  for (let i = 0; i < 1000; i++) assert(link.sender.trySend(1));
  await new Promise((resolve) => setTimeout(resolve, 20));
  assertEquals(await far.read(new Uint8Array(65536)), expected);
  far.close();
  link.close();
  await link.ended;
});
