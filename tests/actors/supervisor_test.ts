import { assert, assertEquals, assertRejects } from "@std/assert";
import { configure, reset } from "@logtape/logtape";
import { type Actor, spawn } from "../../actors/actor.ts";
import { Channel } from "../../actors/channel.ts";
import type { ChildSpec } from "../../actors/children.ts";
import { supervise, type SupervisorOptions } from "../../actors/supervisor.ts";

type Order = "stop" | "crash";

/** Children that log what becomes of them, and that a test can end by hand. */
class Nursery {
  readonly log: string[] = [];
  readonly mailboxes = new Map<string, Channel<Order>>();
  failingStarts = 0;

  spec(name: string, restart: ChildSpec["restart"] = "permanent", shutdownMs = 1000): ChildSpec {
    const mailbox = new Channel<Order>({ capacity: 4 });
    this.mailboxes.set(name, mailbox);
    return { name, restart, shutdownMs, start: () => this.#start(name, mailbox) };
  }

  /** Ends a child and waits for all that is to come of it, and a little longer for what is not. */
  async end(name: string, order: Order, expected: string): Promise<void> {
    await this.mailboxes.get(name)?.send(order);
    for (let wait = 0; wait < 6000 && this.log.join(" ").length < expected.length; wait++) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
    assertEquals(this.takeLog(), expected);
  }

  takeLog(): string {
    return this.log.splice(0).join(" ");
  }

  #start(name: string, mailbox: Channel<Order>): Actor {
    return spawn({
      name,
      start: async () => {
        await new Promise((resolve) => setTimeout(resolve, 2));
        if (this.failingStarts > 0) {
          this.failingStarts--;
          throw new Error(`${name} fails to start`);
        }
        this.log.push(`+${name}`);
      },
      handle: (_, order: Order) => {
        if (order === "crash") throw new Error(`${name} crashed`);
        return "stop";
      },
      end: () => void this.log.push(`-${name}`),
    }, mailbox);
  }
}

const options = (changes: Partial<SupervisorOptions> = {}): SupervisorOptions => ({
  name: "root",
  strategy: "rest_for_one",
  ...changes,
});

Deno.test("supervise() starts children in order, each when the one before is ready, and stops them in reverse", async () => {
  const nursery = new Nursery();
  const root = supervise(["a", "b", "c"].map((name) => nursery.spec(name)), options());
  await root.ready;
  assertEquals(nursery.takeLog(), "+a +b +c");
  root.stop();
  assertEquals(await root.stopped, { kind: "stopped" });
  assertEquals(nursery.takeLog(), "-c -b -a");
});

Deno.test("supervise() rest_for_one restarts the dead child and those after it", async () => {
  const nursery = new Nursery();
  const root = supervise(["a", "b", "c"].map((name) => nursery.spec(name)), options());
  await root.ready;
  nursery.takeLog();
  await nursery.end("b", "crash", "-b -c +b +c");
  await nursery.end("c", "crash", "-c +c");
  root.stop();
  await root.stopped;
});

Deno.test("supervise() one_for_one restarts the dead child alone", async () => {
  const nursery = new Nursery();
  const table = ["a", "b", "c"].map((name) => nursery.spec(name));
  const root = supervise(table, options({ strategy: "one_for_one" }));
  await root.ready;
  nursery.takeLog();
  await nursery.end("a", "crash", "-a +a");
  root.stop();
  await root.stopped;
});

Deno.test("supervise() restarts a permanent child always, a transient one after a crash, a temporary one never", async () => {
  for (
    const [restart, order, back] of [
      ["permanent", "stop", true],
      ["permanent", "crash", true],
      ["transient", "stop", false],
      ["transient", "crash", true],
      ["temporary", "stop", false],
      ["temporary", "crash", false],
    ] as const
  ) {
    const nursery = new Nursery();
    const root = supervise([nursery.spec("a", restart)], options());
    await root.ready;
    nursery.takeLog();
    await nursery.end("a", order, back ? "-a +a" : "-a");
    root.stop();
    await root.stopped;
  }
});

Deno.test("supervise() escalates when a child dies more often than tolerated", async () => {
  const nursery = new Nursery();
  const root = supervise([nursery.spec("a"), nursery.spec("b")], options());
  await root.ready;
  nursery.takeLog();
  for (const expected of ["-b +b", "-b +b", "-b -a"]) await nursery.end("b", "crash", expected);
  const exit = await root.stopped;
  assert(exit.kind === "crashed");
  assertEquals(
    (exit.error as Error).message,
    "Cannot keep b running: 2 restarts in 5000 ms are used up",
  );
  assertEquals((exit.error as Error & { cause: Error }).cause.message, "b crashed");
});

Deno.test("supervise() ends with a significant child, which it restarts for the sake of others alone", async () => {
  const nursery = new Nursery();
  const table = [nursery.spec("a"), { ...nursery.spec("b"), significant: true }];
  const root = supervise(table, options());
  await root.ready;
  nursery.takeLog();
  await nursery.end("a", "crash", "-a -b +a +b");
  await nursery.end("b", "crash", "-b -a");
  const exit = await root.stopped;
  assert(exit.kind === "crashed");
  assertEquals((exit.error as Error).message, "b crashed");
});

Deno.test("supervise() as a child lets a grandchild's deaths reach the root", async () => {
  const nursery = new Nursery();
  const inner: ChildSpec = {
    name: "inner",
    restart: "permanent",
    start: () =>
      supervise(
        [nursery.spec("x")],
        options({ name: "inner", tolerance: { restarts: 0, periodMs: 1000 } }),
      ),
  };
  const root = supervise([nursery.spec("a"), inner], options());
  await root.ready;
  nursery.takeLog();
  await nursery.end("x", "crash", "-x +x");
  root.stop();
  await root.stopped;
});

Deno.test("supervise() counts a restart that fails, and tries again", async () => {
  const nursery = new Nursery();
  const root = supervise([nursery.spec("a"), nursery.spec("b")], options());
  await root.ready;
  nursery.takeLog();
  nursery.failingStarts = 1;
  await nursery.end("a", "crash", "-a -b +a +b");
  await nursery.end("a", "crash", "-a -b");
  assertEquals((await root.stopped).kind, "crashed");
});

Deno.test("supervise() rejects ready when the first start fails, having stopped the others", async () => {
  const nursery = new Nursery();
  const table = [nursery.spec("a"), nursery.spec("b")];
  table[1] = {
    name: "b",
    restart: "permanent",
    start: () =>
      spawn({
        name: "b",
        start: () => Promise.reject(new Error("no driver")),
        handle: () => "stop" as const,
      }, new Channel({ capacity: 1 })),
  };
  const root = supervise(table, options());
  await assertRejects(() => root.ready, Error, "no driver");
  assertEquals((await root.stopped).kind, "crashed");
  assertEquals(nursery.takeLog(), "+a -a");
});

Deno.test("supervise() logs what keeps a child from starting, at the first start and at a restart", async () => {
  const told: unknown[] = [];
  await configure({
    sinks: { seen: ({ category, rawMessage }) => void told.push([...category, rawMessage]) },
    loggers: [{ category: "chorus", sinks: ["seen"] }, {
      category: ["logtape", "meta"],
      sinks: [],
    }],
  });
  try {
    const nursery = new Nursery();
    nursery.failingStarts = 1;
    await supervise([nursery.spec("a")], options()).stopped;
    const failed = ["chorus", "a", "{child} cannot start: {error}"];
    assertEquals(told.splice(0), [failed]);
    const root = supervise([nursery.spec("a")], options());
    await root.ready;
    nursery.takeLog();
    nursery.failingStarts = 1;
    await nursery.end("a", "crash", "-a +a");
    assertEquals(told, [["chorus", "a", "{child} {kind}: {error}"], failed]);
    root.stop();
    await root.stopped;
  } finally {
    await reset();
  }
});

Deno.test("supervise() leaves a child behind that does not stop within its deadline", async () => {
  const nursery = new Nursery();
  const forever = new Promise<never>(() => {});
  const stuck: ChildSpec = {
    name: "stuck",
    restart: "permanent",
    shutdownMs: 20,
    start: () => ({ name: "stuck", ready: Promise.resolve(), stopped: forever, stop: () => {} }),
  };
  const root = supervise([nursery.spec("a"), stuck], options());
  await root.ready;
  root.stop();
  await root.stopped;
  assertEquals(nursery.takeLog(), "+a -a");
});

Deno.test("supervise() can be stopped while a child is still starting", async () => {
  const nursery = new Nursery();
  const never: ChildSpec = {
    name: "never",
    restart: "permanent",
    shutdownMs: 20,
    start: () => ({
      name: "never",
      ready: new Promise(() => {}),
      stopped: new Promise(() => {}),
      stop: () => {},
    }),
  };
  const root = supervise([nursery.spec("a"), never], options());
  const refused = assertRejects(() => root.ready);
  await new Promise((resolve) => setTimeout(resolve, 20));
  root.stop();
  await refused;
  assertEquals(await root.stopped, { kind: "stopped" });
  assertEquals(nursery.takeLog(), "+a -a");
});
