import { assert, assertEquals, assertThrows } from "@std/assert";
import { adapterId, epoch } from "../../../memory/ids.ts";
import type { AdapterCommand } from "../../../actors/engine_protocol.ts";
import { AdapterRegistry } from "../../../actors/request_router/registry.ts";

const entry = (name: string, id = name) => ({
  name,
  id: adapterId(id),
  path: `/adapters/${name}`,
  parent: "base",
});

const registering = (id: string, name: string) =>
  ({ kind: "register", adapter: adapterId(id), path: `/adapters/${name}` }) as const;
const registered = (id: string) =>
  ({
    kind: "adapter_registered",
    epoch: epoch(1),
    adapter: adapterId(id),
    rank: 8,
    bytes: 4096,
  }) as const;
const rejected = (id: string) =>
  ({
    kind: "adapter_rejected",
    epoch: epoch(1),
    adapter: adapterId(id),
    error: "no rank",
  }) as const;

/** A registry, and what it says to the engine. */
function followed() {
  const registry = new AdapterRegistry();
  const told: AdapterCommand[] = [];
  registry.follow((command) => told.push(command));
  return { registry, told };
}

Deno.test("AdapterRegistry keeps every adapter's state by name", () => {
  const registry = new AdapterRegistry();
  registry.add(entry("upper"));
  registry.add(entry("broken"));
  assertEquals(registry.progress, { decided: 0, all: 2 });
  registry.note({
    kind: "adapter_registered",
    epoch: epoch(1),
    adapter: adapterId("upper"),
    rank: 8,
    bytes: 4096,
  });
  registry.note({
    kind: "adapter_rejected",
    epoch: epoch(1),
    adapter: adapterId("broken"),
    error: "no rank",
  });
  assertEquals(registry.progress, { decided: 2, all: 2 });
  assertEquals(registry.get("upper")?.state, { kind: "registered", rank: 8, bytes: 4096 });
  assertEquals(registry.get("broken")?.state, { kind: "rejected", error: "no rank" });
  assertEquals(registry.get("nobody"), null);
  assertEquals(registry.list().map(({ name }) => name), ["upper", "broken"]);
});

Deno.test("AdapterRegistry tells the engine once of files that have two names", () => {
  const { registry, told } = followed();
  registry.add(entry("one", "x"));
  registry.add(entry("two", "x"));
  assertEquals(told, [registering("x", "one")]);
  assertEquals(registry.commands(), told);
  assertEquals(registry.namesOf(adapterId("x")), ["one", "two"]);
  registry.remove("one");
  registry.remove("two");
  assertEquals(registry.progress, { decided: 0, all: 0 });
  assertEquals(told.at(-1), { kind: "unregister", adapter: adapterId("x") });
  assertEquals(registry.commands(), []);
});

Deno.test("files that have lost one of their names are read where another one has them", async () => {
  const { registry, told } = followed();
  registry.add(entry("one", "x"));
  registry.add(entry("two", "x"));
  registry.note(registered("x"));
  registry.remove("one");
  assertEquals(told.at(-1), registering("x", "two"));
  assertEquals(registry.commands(), [registering("x", "two")]);
  const copy = { ...entry("two", "x"), path: "/elsewhere" };
  assertEquals((await registry.load(copy)).kind, "registered");
  assertEquals(told.at(-1), { ...registering("x", "two"), path: "/elsewhere" });
  registry.add(entry("three", "x"));
  registry.remove("three");
  assertEquals(told.length, 3, "where it is read from has not changed");
});

Deno.test("new files under an old name are another revision: requests that run keep theirs (vLLM #42125)", async () => {
  const { registry, told } = followed();
  const [old, fresh] = [adapterId("old"), adapterId("fresh")];
  registry.add(entry("a", "old"));
  registry.note(registered("old"));
  registry.hold(old);
  const loading = registry.load(entry("a", "fresh"));
  assertEquals(registry.get("a")?.id, old, "until the engine has taken the new one");
  registry.note(registered("fresh"));
  assertEquals((await loading).kind, "registered");
  assertEquals(registry.get("a")?.id, fresh);
  assertEquals(told.map(({ kind }) => kind), ["register", "register"], "the old one is in use");
  registry.release(old, false);
  assertEquals(told.at(-1), { kind: "unregister", adapter: old });
  assertEquals(registry.commands(), [{ ...registering("fresh", "a") }]);
});

Deno.test("files that the engine refuses change nothing, and are forgotten", async () => {
  const { registry, told } = followed();
  registry.add(entry("a", "good"));
  registry.note(registered("good"));
  const loading = registry.load(entry("a", "bad"));
  registry.note(rejected("bad"));
  assertEquals(await loading, { kind: "rejected", error: "no rank" });
  assertEquals(registry.get("a")?.id, adapterId("good"));
  assertEquals(told.at(-1), { kind: "unregister", adapter: adapterId("bad") });
});

Deno.test("files that were refused are looked at again when they are loaded again", async () => {
  const { registry, told } = followed();
  registry.add(entry("a", "x"));
  registry.note(rejected("x"));
  const loading = registry.load(entry("a", "x"));
  assertEquals(told, [registering("x", "a"), registering("x", "a")]);
  assertEquals(registry.progress, { decided: 0, all: 1 });
  registry.note(registered("x"));
  registry.note(registered("x")); // another engine says so too
  assertEquals(registry.progress, { decided: 1, all: 1 });
  assertEquals((await loading).kind, "registered");
});

Deno.test("a removed adapter stays with the requests that use it, and with nobody else (TRL #7017)", () => {
  const { registry, told } = followed();
  const id = adapterId("x");
  registry.add(entry("a", "x"));
  registry.hold(id);
  registry.hold(id);
  assertEquals(registry.remove("a"), true);
  assertEquals(registry.remove("a"), false);
  assertEquals(registry.get("a"), null);
  registry.release(id, false);
  assertEquals(told.length, 1);
  assertEquals(registry.commands(), [registering("x", "a")], "another engine must serve them too");
  registry.release(id, false);
  assertEquals(told.at(-1), { kind: "unregister", adapter: id });
});

Deno.test("a pin is the engine's to grant, follows the name to new files, and outlives an engine", async () => {
  const { registry, told } = followed();
  const [old, fresh] = [adapterId("old"), adapterId("fresh")];
  const answer = (adapter: typeof old, error: string | null) =>
    registry.note({ kind: "adapter_pinned", epoch: epoch(1), adapter, error });
  registry.add(entry("a", "old"));
  registry.note(registered("old"));
  const refused = registry.pin("a");
  answer(old, "no room");
  assertEquals([await refused, registry.get("a")?.pinned], ["no room", false]);
  const pinned = registry.pin("a");
  answer(old, null);
  assertEquals([await pinned, registry.get("a")?.pinned], [null, true]);
  assertEquals(registry.commands().at(-1), { kind: "pin", adapter: old });
  const loading = registry.load(entry("a", "fresh"));
  registry.note(registered("fresh"));
  await Promise.resolve();
  await Promise.resolve();
  assertEquals(told.slice(-3).map(({ kind }) => kind), ["unpin", "unregister", "pin"]);
  answer(fresh, null);
  await loading;
  assertEquals(registry.get("a")?.pinned, true);
  registry.unpin("a");
  assertEquals(told.at(-1), { kind: "unpin", adapter: fresh });
  assertEquals(
    await registry.pin("nobody"),
    'Cannot pin adapter: it is unknown, received "nobody"',
  );
});

Deno.test("AdapterRegistry refuses names that metrics and URLs could not carry", () => {
  const registry = new AdapterRegistry();
  for (const name of ["", "a,b", "a\nb", "x".repeat(257)]) {
    assertThrows(() => registry.add(entry(name)), RangeError, "Cannot register adapter: expected");
  }
  assertThrows(() => registry.add(entry("base")), RangeError, "the base model's");
});

Deno.test("AdapterRegistry refuses a name twice", () => {
  const registry = new AdapterRegistry();
  registry.add(entry("one"));
  assertThrows(() => registry.add(entry("one", "y")), RangeError, "which is /adapters/one");
});

Deno.test("a later engine is told what an earlier one found in an adapter's files", () => {
  const registry = new AdapterRegistry();
  const id = adapterId("digest");
  registry.add({ name: "a", id, path: "/a", parent: "base" });
  const register = { kind: "register", adapter: id, path: "/a" } as const;
  assertEquals(registry.commands(), [register]);
  const ranks = { moduleRanks: [8, 0, 0, 0, 0, 0, 0], headRanks: [0, 0] };
  const shape = { rank: 8, bytes: 4096, layerPages: 1, headPages: 0, ...ranks };
  registry.note({
    kind: "adapter_registered",
    epoch: epoch(1),
    adapter: id,
    rank: 8,
    bytes: 4096,
    shape,
  });
  assertEquals(registry.commands(), [{ ...register, known: shape }]);
});

Deno.test("the pages of adapters are counted once each, and those of pinned ones in any case", () => {
  const registry = new AdapterRegistry();
  for (const [at, name] of ["a", "b", "c"].entries()) {
    const id = adapterId(name);
    registry.add({ name, id, path: `/${name}`, parent: "base" });
    const ranks = { moduleRanks: [8, 0, 0, 0, 0, 0, 0], headRanks: [0, 0] };
    const shape = { rank: 8, bytes: 9, layerPages: 10 ** at, headPages: 0, ...ranks };
    registry.note({
      ...{ kind: "adapter_registered", epoch: epoch(1), adapter: id },
      ...{ rank: 8, bytes: 9, shape },
    });
  }
  assertEquals(registry.pages([]), 0);
  assertEquals(registry.pages([adapterId("a"), adapterId("a"), adapterId("gone")]), 1);
  registry.pin("c");
  assertEquals(registry.pages([adapterId("a")]), 101);
  assertEquals(registry.pages([adapterId("c")]), 100);
});

/** What the engine says of pins. */
const pinAnswer = (registry: AdapterRegistry, id: string, error: string | null) =>
  registry.note({ kind: "adapter_pinned", epoch: epoch(1), adapter: adapterId(id), error });

Deno.test("a pin waits for the engine's word on the files, and nothing that was refused is pinned", async () => {
  const { registry, told } = followed();
  registry.add(entry("a", "x"));
  registry.add(entry("b", "y"));
  const [a, b] = [registry.pin("a"), registry.pin("b")];
  registry.note(rejected("x"));
  assert((await a)?.includes("no rank"));
  assertEquals(told.map(({ kind }) => kind), ["register", "register"]);
  registry.note(registered("y"));
  while (told.length < 3) await Promise.resolve();
  assertEquals(told.at(-1), { kind: "pin", adapter: adapterId("y") });
  pinAnswer(registry, "y", null);
  assertEquals(await b, null);
  assert((await registry.pin("a"))?.includes("no rank"), "however long ago");
});

Deno.test("a pin is its name's: what becomes of another name of the same files does not end it", async () => {
  const { registry, told } = followed();
  registry.add(entry("a", "x"));
  registry.add(entry("b", "x"));
  registry.add(entry("c", "x"));
  registry.note(registered("x"));
  const pinned = registry.pin("a");
  pinAnswer(registry, "x", null);
  assertEquals(await pinned, null);
  registry.unpin("b");
  const loading = registry.load(entry("c", "fresh"));
  registry.note(registered("fresh"));
  await loading;
  registry.remove("b");
  assertEquals(registry.get("a")?.pinned, true);
  assertEquals(told.filter(({ kind }) => kind === "unpin"), []);
  assertEquals(registry.get("c")?.pinned, false, "it never was");
});

Deno.test("whose pinned name is gone is pinned no more, though requests or other names keep the files", async () => {
  const { registry, told } = followed();
  registry.add(entry("a", "x"));
  registry.note(registered("x"));
  const pinned = registry.pin("a");
  pinAnswer(registry, "x", null);
  await pinned;
  registry.add(entry("b", "x"));
  registry.hold(adapterId("x"));
  registry.remove("a");
  assertEquals(told.filter(({ kind }) => kind === "unpin").length, 1);
  assertEquals(registry.get("b")?.pinned, false);
});

Deno.test("a pin that is taken back while there is no engine is answered all the same", async () => {
  const registry = new AdapterRegistry();
  registry.add(entry("a", "x"));
  registry.note(registered("x"));
  const pinned = registry.pin("a");
  registry.unpin("a");
  assert((await pinned)?.includes("it was unpinned meanwhile"));
  assertEquals(registry.commands().map(({ kind }) => kind), ["register"]);
});

Deno.test("an unpin that overtakes the engine's answer is not forgotten", async () => {
  const { registry } = followed();
  registry.add(entry("a", "x"));
  registry.note(registered("x"));
  const pinned = registry.pin("a");
  registry.unpin("a");
  pinAnswer(registry, "x", null);
  await pinned;
  assertEquals(registry.get("a")?.pinned, false);
  assertEquals(registry.commands().map(({ kind }) => kind), ["register"]);
});

Deno.test("a tenant is told of its own requests, whatever others ask of the same files", () => {
  const { registry } = followed();
  const id = adapterId("x");
  registry.add(entry("acme's", "x"));
  registry.add(entry("globex's", "x"));
  registry.hold(id, "acme");
  registry.hold(id, "globex");
  registry.hold(id);
  registry.began(id, "globex");
  const requests = (tenant?: string) => registry.list(tenant).map((adapter) => adapter.requests);
  assertEquals(requests("acme"), Array(2).fill({ running: 0, waiting: 1 }));
  assertEquals(requests("globex"), Array(2).fill({ running: 1, waiting: 0 }));
  assertEquals(requests("nobody"), Array(2).fill({ running: 0, waiting: 0 }));
  assertEquals(requests(), Array(2).fill({ running: 1, waiting: 2 }));
  registry.release(id, true, "globex");
  registry.release(id, false, "acme");
  registry.release(id, false);
  assertEquals(requests(), Array(2).fill({ running: 0, waiting: 0 }));
});
