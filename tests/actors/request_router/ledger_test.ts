import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { Output, Sequence } from "../../../actors/batch_former/protocol.ts";
import { Ledger, type Plan } from "../../../actors/request_router/ledger.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { epoch as epochOf, type RequestId, requestId } from "../../../memory/ids.ts";
import { fakeLogprobs, fakeToken, fakeTokens } from "../../support/fake_engine.ts";

const plan = (id: string, changes: Partial<Plan> = {}): Plan => ({
  id: requestId(id),
  prompt: [1, 2, 3],
  adapters: [],
  sampling: GREEDY,
  maxTokens: 10,
  stopTokenIds: [],
  promptLogprobs: false,
  ...changes,
});

const output = (id: string, tokens: readonly number[], end: Output["end"] = null): Output => ({
  request: requestId(id),
  tokens: tokens.map((token) => ({ token, logprobs: null })),
  promptLogprobs: [],
  end,
});

function running(window = 8, now = () => 0): Ledger {
  const ledger = new Ledger({ capacity: 4, window }, now);
  ledger.replay(epochOf(1));
  ledger.admit(requestId("a"));
  ledger.prepare(plan("a"));
  return ledger;
}

Deno.test("Ledger.replay() gives the next engine what was generated, the credit that is left and how long it has been", () => {
  let now = 100;
  const ledger = running(8, () => now);
  ledger.progress(epochOf(1), output("a", [7, 8, 9]));
  assertEquals(ledger.consume(requestId("a"), 2), 2);
  ledger.engineLost(epochOf(1));
  assertEquals(ledger.state(requestId("a")), "awaiting_engine");
  now = 2600.4;
  assertEquals(ledger.replay(epochOf(2)), [
    { ...plan("a"), generated: [7, 8, 9], credit: 7, waitedMs: 2500 },
  ]);
  ledger.checkIntegrity();
});

Deno.test("Ledger.progress() drops what an older engine says, and what is said of an ended request", () => {
  const ledger = running();
  ledger.engineLost(epochOf(1));
  assertEquals(ledger.progress(epochOf(1), output("a", [7])), { kind: "stale" });
  ledger.replay(epochOf(2));
  assertEquals(ledger.progress(epochOf(1), output("a", [7])), { kind: "stale" });
  assertEquals(ledger.progress(epochOf(2), output("a", [7])).kind, "news");
  ledger.engineLost(epochOf(1));
  assertEquals(ledger.state(requestId("a")), "running");
  assertEquals(ledger.end(requestId("a")), { ended: true, wasRunning: true });
  assertEquals(ledger.end(requestId("a")), { ended: false, wasRunning: false });
  assertEquals(ledger.progress(epochOf(2), output("a", [8])), { kind: "stale" });
});

Deno.test("Ledger.progress() tells an engine that breaks the protocol", () => {
  const violation = (made: Output) => {
    const progress = running(4).progress(epochOf(1), made);
    assert(progress.kind === "violation");
    return progress.error;
  };
  assert(violation(output("a", [1, 2, 3, 4, 5])).includes("at most 4 tokens"));
  assert(violation({ ...output("a", []), promptLogprobs: [null] }).includes("0 prompt logprobs"));
  const silent = running(100).progress(epochOf(1), output("a", fakeTokens([], 10)));
  assert(silent.kind === "violation" && silent.error.includes("no end"));
});

Deno.test("Ledger.progress() leaves out the part of the prompt's logprobs that was known before", () => {
  const ledger = new Ledger({ capacity: 4, window: 8 });
  ledger.replay(epochOf(1));
  ledger.admit(requestId("a"));
  ledger.prepare(plan("a", { promptLogprobs: true }));
  const known = [null, fakeLogprobs(2), fakeLogprobs(3)];
  const part = (logprobs: Output["promptLogprobs"], epoch: number) => {
    const made = { ...output("a", []), promptLogprobs: logprobs };
    const progress = ledger.progress(epochOf(epoch), made);
    return progress.kind === "news" ? progress.output.promptLogprobs : progress.kind;
  };
  assertEquals(part(known.slice(0, 2), 1), known.slice(0, 2));
  ledger.engineLost(epochOf(1));
  assertEquals(ledger.replay(epochOf(2))[0]?.promptLogprobs, true);
  assertEquals(part(known.slice(0, 1), 2), []);
  assertEquals(part(known.slice(1), 2), known.slice(2));
  ledger.engineLost(epochOf(2));
  assertEquals(ledger.replay(epochOf(3))[0]?.promptLogprobs, false);
  ledger.checkIntegrity();
});

Deno.test("Ledger.admit() refuses an id it knows and more than its capacity", () => {
  const ledger = new Ledger({ capacity: 1, window: 8 });
  ledger.admit(requestId("a"));
  assertThrows(() => ledger.admit(requestId("a")), RangeError, "expected a new id, received a");
  assertThrows(() => ledger.admit(requestId("b")), RangeError, "the ledger is full at 1");
});

const WINDOW = 4;
const Op = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("admit"), pick: fc.nat() }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("prepare"), pick: fc.nat() }) },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant("progress"), pick: fc.nat() }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("consume"), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("cancel"), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("late"), pick: fc.nat() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lost"), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("ready"), pick: fc.nat() }) },
);

/** Honest engines, one after another, with a client's view of each request beside the ledger. */
class World {
  readonly ledger = new Ledger({ capacity: 6, window: WINDOW });
  readonly ends = new Map<RequestId, number>();
  readonly received = new Map<RequestId, number[]>();
  readonly unread = new Map<RequestId, number>();
  readonly prepared = new Set<RequestId>();
  #engine = new Map<RequestId, { sequence: Sequence; made: number; credit: number }>();
  #dead: Output[] = [];
  #epoch = 0;
  #alive = false;
  #ids = 0;

  apply({ kind, pick }: { kind: string; pick: number }): void {
    const live = this.ledger.ids();
    const id = live[pick % live.length];
    switch (kind) {
      case "admit": {
        if (this.ledger.size === 6) return;
        const fresh = requestId(`r${this.#ids++}`);
        this.ledger.admit(fresh);
        this.received.set(fresh, []);
        this.unread.set(fresh, 0);
        return;
      }
      case "ready":
        if (this.#alive) return;
        this.#alive = true;
        this.#engine.clear();
        for (const sequence of this.ledger.replay(epochOf(++this.#epoch))) this.#submit(sequence);
        return;
      case "lost":
        if (!this.#alive) return;
        this.#alive = false;
        this.#dead = [...this.#engine.keys()].map((request) =>
          output(request, [fakeToken(promptOf(request), this.#engine.get(request)?.made ?? 0)])
        );
        this.ledger.engineLost(epochOf(this.#epoch));
        return;
      case "late":
        for (const late of this.#dead) {
          const epoch = this.#alive ? this.#epoch - 1 : this.#epoch;
          assertEquals(this.ledger.progress(epochOf(epoch), late).kind, "stale");
        }
        return;
    }
    if (id === undefined) return;
    if (kind === "prepare") {
      const maxTokens = 1 + pick % 12;
      const sequence = this.ledger.prepare(plan(id, { prompt: promptOf(id), maxTokens }));
      if (sequence) this.#submit(sequence);
    } else if (kind === "progress") this.#step(id, 1 + pick % 3);
    else if (kind === "consume") {
      const taken = Math.min(1 + pick % 4, this.unread.get(id) ?? 0);
      this.unread.set(id, (this.unread.get(id) ?? 0) - taken);
      const credit = this.ledger.consume(id, taken);
      const running = this.#engine.get(id);
      if (credit !== null && running) running.credit += credit;
    } else this.end(id);
  }

  end(id: RequestId): void {
    this.#engine.delete(id);
    if (this.ledger.end(id).ended) this.ends.set(id, (this.ends.get(id) ?? 0) + 1);
  }

  #submit(sequence: Sequence): void {
    assert(!this.#engine.has(sequence.id), `${sequence.id} was submitted twice`);
    const { credit, generated } = sequence;
    this.#engine.set(sequence.id, { sequence, made: generated.length, credit });
  }

  #step(id: RequestId, most: number): void {
    const running = this.#engine.get(id);
    if (!this.#alive || !running) return;
    const { sequence } = running;
    const count = Math.min(most, running.credit, sequence.maxTokens - running.made);
    const tokens = Array.from({ length: count }, () => fakeToken(sequence.prompt, running.made++));
    running.credit -= count;
    const ended = running.made === sequence.maxTokens;
    const made = output(id, tokens, ended ? { kind: "finished", reason: "length" } : null);
    const progress = this.ledger.progress(epochOf(this.#epoch), made);
    assert(progress.kind === "news", progress.kind);
    for (const { token } of progress.output.tokens) this.received.get(id)?.push(token);
    this.unread.set(id, (this.unread.get(id) ?? 0) + count);
    if (ended) this.end(id);
  }
}

const promptOf = (id: RequestId) => [...id].map((letter) => letter.charCodeAt(0));

Deno.test("Ledger ends every request exactly once and loses or repeats no token, whatever happens", () => {
  fc.assert(
    fc.property(fc.array(Op, { minLength: 20, maxLength: 200 }), (ops) => {
      const world = new World();
      for (const op of ops) {
        world.apply(op);
        world.ledger.checkIntegrity();
      }
      for (const id of world.ledger.ids()) world.end(id);
      world.ledger.checkIntegrity();
      assertEquals(world.ledger.size, 0);
      for (const [id, received] of world.received) {
        assertEquals(world.ends.get(id), 1);
        assertEquals(received, fakeTokens(promptOf(id), received.length));
      }
    }),
    { numRuns: 300 },
  );
});
