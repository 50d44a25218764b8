/// <reference lib="deno.worker" />
// An executor that answers every step at once, or after as many milliseconds as its Worker's name says: over the real
// port, so that all but the GPU's work is done.
import { openPort, type Port } from "../../actors/port_channel.ts";
import type { Command, Event, SteppedRow } from "../../actors/executor/protocol.ts";

const LETTER_A = 97;
const stepMs = Number(self.name);
const { sender, receiver } = openPort<Event, Command>(self as unknown as Port, { capacity: 64 });

let due = performance.now();
for await (const command of receiver) {
  if (command.kind !== "step") continue;
  const rows = command.rows.map(({ slot, position, sample }): SteppedRow => ({
    slot,
    // A letter of a byte-level vocabulary: every token is text of its own.
    token: sample ? LETTER_A + position % 26 : null,
    logprobs: null,
    promptLogprobs: [],
  }));
  due = Math.max(due + stepMs, performance.now());
  const wait = due - performance.now();
  if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait));
  await sender.send({ kind: "stepped", step: command.step, rows });
}
