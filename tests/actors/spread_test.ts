import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { Channel, ChannelClosedError } from "../../actors/channel.ts";
import { spread } from "../../actors/spread.ts";

interface Message {
  readonly key: string;
  readonly number: number;
}

const channels = (count: number) =>
  Array.from({ length: count }, () => new Channel<Message>({ capacity: 1000 }));

function taken(channel: Channel<Message>): Message[] {
  const messages: Message[] = [];
  for (let next = channel.tryReceive(); next.state === "ok"; next = channel.tryReceive()) {
    messages.push(next.value);
  }
  return messages;
}

Deno.test("spread() sends every message once, all of a key to the same receiver and in order", async () => {
  const keys = fc.array(fc.string({ maxLength: 3 }), { maxLength: 50 });
  await fc.assert(fc.asyncProperty(keys, fc.integer({ min: 1, max: 5 }), async (some, count) => {
    const receivers = channels(count);
    const sender = spread(receivers, ({ key }) => key);
    for (const [number, key] of some.entries()) await sender.send({ key, number });
    const got = receivers.map(taken);
    assertEquals(got.flat().length, some.length);
    for (const key of new Set(some)) {
      const numbers = got.map((each) => each.filter((m) => m.key === key).map((m) => m.number));
      const [own = [], ...others] = numbers.filter((each) => each.length > 0);
      assertEquals(others, []);
      assertEquals(own, some.flatMap((each, i) => each === key ? [i] : []));
    }
  }));
});

Deno.test("spread() gives digests to all receivers about alike", () => {
  const receivers = channels(4);
  const sender = spread(receivers, ({ key }) => key);
  for (let number = 0; number < 800; number++) {
    const key = [...crypto.getRandomValues(new Uint8Array(32))].map((byte) =>
      byte.toString(16).padStart(2, "0")
    ).join("");
    assert(sender.trySend({ key, number }));
  }
  for (const receiver of receivers) assert(receiver.size > 120, `${receiver.size} of 800`);
});

Deno.test("spread() ends all receivers at once", async () => {
  const receivers = channels(2);
  const sender = spread(receivers, ({ key }) => key);
  sender.close();
  for (const receiver of receivers) {
    await assertRejects(() => receiver.receive(), ChannelClosedError);
  }
  await assertRejects(() => sender.send({ key: "a", number: 1 }), ChannelClosedError);
});
