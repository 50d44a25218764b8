import { assert, assertEquals, assertRejects } from "@std/assert";
import { ChannelClosedError, type Receiver, type Sender } from "../../actors/channel.ts";

/** One direction of a transport, with both ends at hand. */
export interface Pair {
  readonly sender: Sender<Sample>;
  readonly receiver: Receiver<Sample>;
  readonly [Symbol.asyncDispose]: () => Promise<void>;
}

export interface Sample {
  readonly kind: "sample";
  readonly number: number;
  readonly payload?: string;
}

const sample = (number: number): Sample => ({ kind: "sample", number });
const later = (ms = 20) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What every transport promises; `slack` is what it may hold beyond its capacity, in 64 KiB messages. */
export function testChannel(
  name: string,
  open: (capacity: number) => Pair | Promise<Pair>,
  options: { readonly slack: number },
) {
  Deno.test(`${name} delivers messages in the order they were sent`, async () => {
    await using pair = await open(4);
    const received: number[] = [];
    const reading = (async () => {
      for await (const message of pair.receiver) received.push(message.number);
    })();
    const sent = Array.from({ length: 500 }, (_, i) => i);
    for (const number of sent) await pair.sender.send(sample(number));
    pair.sender.close();
    await reading;
    assertEquals(received, sent);
  });

  Deno.test(`${name} keeps the order of sends that wait at the same time`, async () => {
    await using pair = await open(2);
    const sending = Promise.all(Array.from({ length: 50 }, (_, i) => pair.sender.send(sample(i))));
    for (let i = 0; i < 50; i++) assertEquals((await pair.receiver.receive()).number, i);
    await sending;
  });

  Deno.test(`${name} suspends send() when full, until a message is received`, async () => {
    const capacity = 3;
    await using pair = await open(capacity);
    let accepted = 0;
    const total = capacity + options.slack + 8;
    const payload = "x".repeat(65536);
    const sending = (async () => {
      for (let number = 0; number < total; number++) {
        await pair.sender.send({ kind: "sample", number, payload });
        accepted++;
      }
    })();
    while (accepted < capacity) await later(1);
    await later(100);
    assert(accepted <= capacity + options.slack, `${accepted} messages were accepted`);
    assertEquals(pair.sender.trySend(sample(0)), false);
    for (let i = 0; i < total; i++) assertEquals((await pair.receiver.receive()).number, i);
    await sending;
  });

  Deno.test(`${name} trySend() delivers what it accepts and nothing else`, async () => {
    await using pair = await open(2);
    await pair.sender.send(sample(0)); // by now the ends know each other
    const accepted: number[] = [0];
    for (let i = 1; i < 200; i++) if (pair.sender.trySend(sample(i))) accepted.push(i);
    pair.sender.close();
    const received: number[] = [];
    for await (const message of pair.receiver) received.push(message.number);
    assertEquals(received, accepted);
  });

  Deno.test(`${name} tryReceive() tells empty from closed`, async () => {
    await using pair = await open(2);
    assertEquals(pair.receiver.tryReceive(), { state: "empty" });
    const told = async () => {
      while (true) {
        const next = pair.receiver.tryReceive();
        if (next.state !== "empty") return next;
        await later(1);
      }
    };
    await pair.sender.send(sample(7));
    assertEquals(await told(), { state: "ok", value: sample(7) });
    pair.sender.close();
    assertEquals(await told(), { state: "closed", reason: null });
  });

  Deno.test(`${name} close() delivers what was sent before it`, async () => {
    await using pair = await open(4);
    await pair.sender.send(sample(1));
    await pair.sender.send(sample(2));
    pair.sender.close();
    await later();
    assertEquals(await pair.receiver.receive(), sample(1));
    assertEquals(await pair.receiver.receive(), sample(2));
    await assertRejects(() => pair.receiver.receive(), ChannelClosedError, "Cannot receive");
  });

  Deno.test(`${name} close() refuses later sends`, async () => {
    await using pair = await open(4);
    pair.sender.close();
    await assertRejects(() => pair.sender.send(sample(1)), ChannelClosedError, "Cannot send");
    assertEquals(pair.sender.trySend(sample(1)), false);
  });

  Deno.test(`${name} close() with a reason makes the receiver throw it`, async () => {
    await using pair = await open(4);
    const waiting = assertRejects(() => pair.receiver.receive(), Error, "the card caught fire");
    pair.sender.close(new Error("the card caught fire"));
    await waiting;
    const iterating = async () => {
      for await (const _ of pair.receiver);
    };
    await assertRejects(iterating, Error, "the card caught fire");
  });

  Deno.test(`${name} receive() can be given up without losing a message`, async () => {
    await using pair = await open(4);
    const giveUp = new AbortController();
    const waiting = pair.receiver.receive(giveUp.signal);
    giveUp.abort(new Error("tired of waiting"));
    await assertRejects(() => waiting, Error, "tired of waiting");
    await pair.sender.send(sample(1));
    assertEquals(await pair.receiver.receive(new AbortController().signal), sample(1));
  });
}
