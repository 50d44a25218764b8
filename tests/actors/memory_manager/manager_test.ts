import { assert, assertEquals } from "@std/assert";
import type { Effects } from "../../../actors/memory_manager/effects.ts";
import { MemoryManager } from "../../../actors/memory_manager/manager.ts";
import { adapterId, epoch, requestId } from "../../../memory/ids.ts";
import type { MemoryWant } from "../../../memory/memory_plan.ts";
import type { AdapterImage } from "../../../models/adapter_image.ts";

const shape = { layerPages: 10, headPages: 3, pagesPerBlock: 1, blockTokens: 16 };
const managerOf = () => new MemoryManager(shape, epoch(3));

const packed = (pages: number, copies: number) =>
  pages === 0 ? null : { bytes: new SharedArrayBuffer(pages * copies * 100), pages, copies };

const imageOf = (layerPages: number, headPages = 0): AdapterImage => ({
  layers: packed(layerPages, 4),
  head: packed(headPages, 1),
  maxRank: 16,
  moduleRanks: [16, 0, 8, 0, 0, 0, 0],
  headRanks: [0, 4],
  dora: false,
});

const want = (name: string, tokens: number, ...adapters: string[]): MemoryWant => ({
  request: requestId(name),
  tokens,
  adapters: adapters.map(adapterId),
  spareTokens: 0,
});

let plans = 0;
function plan(manager: MemoryManager, ...wants: MemoryWant[]) {
  const effects = manager.handle({ kind: "plan", plan: ++plans, wants, upcoming: [] });
  manager.checkIntegrity();
  const [planned] = effects.former;
  assert(planned?.kind === "planned");
  return { ...effects, grants: planned.grants, usage: planned.usage };
}

const register = (manager: MemoryManager, name: string) =>
  manager.handle({ kind: "register", adapter: adapterId(name), path: `/adapters/${name}` });
const loaded = (manager: MemoryManager, name: string, image = imageOf(2)) =>
  manager.handle({ kind: "loaded", adapter: adapterId(name), image });
const uploaded = (manager: MemoryManager, name: string) =>
  manager.handle({ kind: "uploaded", adapter: adapterId(name), bytes: 100, seconds: 0 });
const loads = (effects: Effects) => effects.loader.map(({ adapter }) => adapter as string);

Deno.test("registering an adapter loads it, and says how large it is when it is loaded", () => {
  const manager = managerOf();
  assertEquals(register(manager, "a").loader, [
    { kind: "load", adapter: adapterId("a"), path: "/adapters/a" },
  ]);
  const { events, executor } = loaded(manager, "a", imageOf(2, 1));
  assertEquals(events, [{
    kind: "adapter_registered",
    epoch: epoch(3),
    adapter: adapterId("a"),
    rank: 16,
    bytes: 900,
    shape: {
      rank: 16,
      bytes: 900,
      layerPages: 2,
      headPages: 1,
      moduleRanks: [16, 0, 8, 0, 0, 0, 0],
      headRanks: [0, 4],
    },
  }]);
  assertEquals(executor, [], "it is uploaded when it is wanted, not before");
});

Deno.test("a granted adapter is uploaded to the pages that the grant names", () => {
  const manager = managerOf();
  register(manager, "a");
  loaded(manager, "a", imageOf(2, 1));
  const { grants: [grant], executor: [upload] } = plan(manager, want("r", 20, "a"));
  assert(grant?.kind === "granted" && upload?.kind === "upload");
  assertEquals([upload.layerPages.length, upload.headPages.length], [2, 1]);
  assertEquals(grant.adapters, [{
    adapter: adapterId("a"),
    layerPage: upload.layerPages[0] ?? null,
    headPage: upload.headPages[0] ?? null,
    moduleRanks: [16, 0, 8, 0, 0, 0, 0],
    headRanks: [0, 4],
  }]);
  assertEquals(plan(manager, want("s", 20, "a")).executor, [], "and only once");
});

Deno.test("an adapter without head modules has no head page", () => {
  const manager = managerOf();
  register(manager, "a");
  loaded(manager, "a");
  const [grant] = plan(manager, want("r", 1, "a")).grants;
  assert(grant?.kind === "granted");
  assertEquals(grant.adapters[0]?.headPage, null);
});

Deno.test("a want whose adapter is still loading waits, and hears when it is ready", () => {
  const manager = managerOf();
  register(manager, "a");
  assertEquals(plan(manager, want("r", 1, "a"), want("s", 1)).grants.map(({ kind }) => kind), [
    "waiting",
    "granted",
  ]);
  assertEquals(loaded(manager, "a").former, [
    { kind: "adapter_resident", adapter: adapterId("a") },
  ]);
  register(manager, "b");
  assertEquals(loaded(manager, "b").former, [], "nobody waited for this one");
});

Deno.test("a want whose adapter fails to load hears why, and so does the front", () => {
  const manager = managerOf();
  register(manager, "a");
  plan(manager, want("r", 1, "a"));
  const adapter = adapterId("a");
  const error = "Cannot load adapter: a pickle file";
  const { former, events } = manager.handle({ kind: "load_failed", adapter, error });
  assertEquals(former, [{ kind: "adapter_unavailable", adapter, error }]);
  assertEquals(events, [{ kind: "adapter_rejected", epoch: epoch(3), adapter, error }]);
  assertEquals(plan(manager, want("r", 1, "a")).grants, [
    { kind: "refused", request: requestId("r"), error },
  ]);
});

Deno.test("the front hears where files may only not have been readable for now", () => {
  const manager = managerOf();
  const adapter = adapterId("a");
  register(manager, "a");
  const error = "too many open files";
  const failed = manager.handle({ kind: "load_failed", adapter, error, passing: true });
  const rejected = { kind: "adapter_rejected", epoch: epoch(3), adapter, error } as const;
  assertEquals(failed.events, [{ ...rejected, passing: true }]);
});

Deno.test("an adapter larger than the pool is rejected when it is loaded", () => {
  const manager = managerOf();
  register(manager, "a");
  const [event] = loaded(manager, "a", imageOf(11)).events;
  assert(event?.kind === "adapter_rejected");
  assertEquals(
    event.error,
    "Cannot hold adapter a: the pool has 10 pages in all, received a need of 11",
  );
});

Deno.test("four adapters are read ahead at a time, and those that someone waits for beside them", () => {
  const manager = managerOf();
  const names = ["a", "b", "c", "d", "e", "f", "g"];
  assertEquals(names.flatMap((name) => loads(register(manager, name))), ["a", "b", "c", "d"]);
  manager.handle({ kind: "plan", plan: 0, wants: [], upcoming: [adapterId("f")] });
  assertEquals(loads(plan(manager, want("r", 1, "g"))), ["g"]);
  assertEquals(loads(loaded(manager, "a")), []);
  assertEquals(loads(loaded(manager, "b")), ["e"], "nothing is expected any more");
});

Deno.test("what the queue will want is loaded before what is only registered", () => {
  const manager = managerOf();
  for (const name of ["a", "b", "c", "d", "e", "f"]) register(manager, name);
  manager.handle({ kind: "plan", plan: 0, wants: [], upcoming: [adapterId("f")] });
  assertEquals(loads(loaded(manager, "a")), ["f"]);
});

Deno.test("registering again answers again, loads nothing twice, and retries what failed", () => {
  const manager = managerOf();
  register(manager, "a");
  assertEquals(register(manager, "a"), { loader: [], executor: [], former: [], events: [] });
  loaded(manager, "a");
  assertEquals(register(manager, "a").events.map(({ kind }) => kind), ["adapter_registered"]);
  register(manager, "b");
  manager.handle({ kind: "load_failed", adapter: adapterId("b"), error: "gone" });
  assertEquals(loads(register(manager, "b")), ["b"]);
});

Deno.test("an evicted adapter is uploaded again from host memory", () => {
  const manager = managerOf();
  register(manager, "a");
  loaded(manager, "a");
  plan(manager, want("r", 1, "a"));
  uploaded(manager, "a");
  manager.handle({ kind: "release", request: requestId("r") });
  assertEquals(plan(manager, want("s", 160)).usage.residentAdapters, []);
  manager.handle({ kind: "release", request: requestId("s") });
  assertEquals(plan(manager, want("r", 1, "a")).executor.map(({ kind }) => kind), ["upload"]);
});

Deno.test("the usage after a plan adds up to the pool", () => {
  const manager = managerOf();
  register(manager, "a");
  loaded(manager, "a");
  const { usage } = plan(manager, want("r", 40, "a"));
  assertEquals(usage, {
    pages: 10,
    freePages: 5,
    kvPages: 3,
    cachedPages: 0,
    adapterPages: 2,
    residentAdapters: [], // on its way
    arrivingAdapters: 1,
  });
});

Deno.test("answers keep the order of the wants, whichever pool or loader they come from", () => {
  const manager = managerOf();
  register(manager, "a");
  const wants = [want("r", 1, "a"), want("s", 1), want("t", 1, "nobody"), want("u", 999)];
  assertEquals(plan(manager, ...wants).grants.map(({ request, kind }) => `${request} ${kind}`), [
    "r waiting",
    "s granted",
    "t refused",
    "u refused",
  ]);
});

Deno.test("no adapter is pinned whose size nobody knows, nor one that was refused, however long ago", () => {
  const manager = managerOf();
  register(manager, "a");
  const pin = (now: number) => {
    const { events } = manager.handle({ kind: "pin", adapter: adapterId("a") }, now);
    const [event] = events;
    assert(event?.kind === "adapter_pinned");
    return event.error;
  };
  assert(
    pin(0)?.includes("not been read"),
    "as large as the pool, it would leave no room to anybody",
  );
  manager.handle({ kind: "load_failed", adapter: adapterId("a"), error: "NaN" }, 1);
  assert(pin(1) !== null);
  assert(pin(1e6) !== null);
  assertEquals(
    loads(manager.handle({ kind: "list_adapters" }, 2e6)),
    [],
    "nor read again for ever",
  );
  register(manager, "a");
  loaded(manager, "a");
  assertEquals(pin(3e6), null);
});
