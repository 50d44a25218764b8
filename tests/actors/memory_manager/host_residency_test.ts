import { assert, assertEquals } from "@std/assert";
import type { Effects } from "../../../actors/memory_manager/effects.ts";
import { MemoryManager, RESIDENCY_DEFAULTS } from "../../../actors/memory_manager/manager.ts";
import { adapterId, epoch, requestId } from "../../../memory/ids.ts";
import type { AdapterImage } from "../../../models/adapter_image.ts";

const shape = { layerPages: 10, headPages: 3, pagesPerBlock: 1, blockTokens: 16 };

/** An adapter of `pages` pages and `pages * 100` bytes. */
const imageOf = (pages: number): AdapterImage => ({
  layers: { bytes: new SharedArrayBuffer(pages * 100), pages, copies: 1 },
  head: null,
  maxRank: 8,
  moduleRanks: [8, 0, 0, 0, 0, 0, 0],
  headRanks: [0, 0],
  dora: false,
});

/** A manager with the neighbours' answers as methods; nothing arrives that a test does not send. */
class Bench {
  readonly manager: MemoryManager;
  nowMs = 0;
  #plans = 0;

  constructor(more: Partial<typeof RESIDENCY_DEFAULTS> = {}) {
    this.manager = new MemoryManager(shape, epoch(1), { ...RESIDENCY_DEFAULTS, ...more });
  }

  #handle(command: Parameters<MemoryManager["handle"]>[0]): Effects {
    const effects = this.manager.handle(command, this.nowMs);
    this.manager.checkIntegrity();
    return effects;
  }

  register(...names: string[]): string[] {
    return names.flatMap((name) =>
      loads(this.#handle({ kind: "register", adapter: adapterId(name), path: `/${name}` }))
    );
  }

  known(name: string, pages: number): Effects {
    const { bytes } = imageOf(pages).layers ?? { bytes: new SharedArrayBuffer(0) };
    const ranks = { moduleRanks: [8, 0, 0, 0, 0, 0, 0], headRanks: [0, 0] };
    const known = { rank: 8, bytes: bytes.byteLength, layerPages: pages, headPages: 0, ...ranks };
    return this.#handle({ kind: "register", adapter: adapterId(name), path: `/${name}`, known });
  }

  loaded(name: string, pages = 2): Effects {
    return this.#handle({ kind: "loaded", adapter: adapterId(name), image: imageOf(pages) });
  }

  failed(name: string, error: string): Effects {
    return this.#handle({ kind: "load_failed", adapter: adapterId(name), error });
  }

  uploaded(name: string): Effects {
    return this.#handle({ kind: "uploaded", adapter: adapterId(name), bytes: 200, seconds: 0.5 });
  }

  release(request: string): void {
    this.#handle({ kind: "release", request: requestId(request) });
  }

  /** Plans for requests named after the adapter that each wants, one token each. */
  plan(wanted: readonly string[], upcoming: readonly string[] = []) {
    const wants = wanted.map((name) => ({
      request: requestId(name),
      tokens: 1,
      adapters: name === "base" ? [] : [adapterId(name)],
      spareTokens: 0,
    }));
    const plan = ++this.#plans;
    const effects = this.#handle({
      kind: "plan",
      plan,
      wants,
      upcoming: upcoming.map(adapterId),
    });
    const [planned] = effects.former;
    assert(planned?.kind === "planned");
    return {
      kinds: planned.grants.map(({ kind }) => kind),
      grants: planned.grants,
      residency: planned.residency,
      uploads: effects.executor.map((command) => command.kind === "upload" ? command.adapter : ""),
      loads: loads(effects),
    };
  }
}

const loads = (effects: Effects): string[] => effects.loader.map(({ adapter }) => adapter);

Deno.test("an image that fell out of host memory is read again when a request wants it", () => {
  const bench = new Bench({ hostBytes: 300 });
  bench.register("a", "b");
  bench.loaded("a");
  assertEquals(bench.plan([]).residency.hostBytes, 200);
  bench.loaded("b"); // nobody waits for it: it was read to be checked
  assertEquals(bench.plan([]).residency.hostBytes, 200);
  const asked = bench.plan(["b"]);
  assertEquals([asked.kinds, asked.loads], [["waiting"], ["b"]]);
  assertEquals(bench.loaded("b").former, [
    { kind: "adapter_resident", adapter: adapterId("b") },
  ]);
  const { kinds, uploads, residency } = bench.plan(["b"]);
  assertEquals([kinds, uploads], [["granted"], ["b"]]);
  assertEquals([residency.hostEvictions, residency.hostBytes, residency.diskLoads], [1, 200, 3]);
});

Deno.test("an adapter on the GPU needs no image in host memory", () => {
  const bench = new Bench({ hostBytes: 300 });
  bench.register("a", "b");
  bench.loaded("a");
  bench.plan(["a"]);
  bench.uploaded("a");
  bench.plan(["b"]);
  bench.loaded("b"); // pushes a's image out
  const { kinds, uploads, loads } = bench.plan(["a"]);
  assertEquals([kinds, uploads, loads], [["granted"], [], []]);
});

Deno.test("what is read for a request while every image is being uploaded is read again when one is not", () => {
  const bench = new Bench({ hostBytes: 300 });
  bench.register("a", "b");
  bench.loaded("a");
  bench.plan(["a"]);
  assertEquals(bench.plan(["b"]).kinds, ["waiting"]);
  assertEquals(bench.loaded("b").former, [], "there is no room beside a, which the executor reads");
  assertEquals(loads(bench.uploaded("a")), ["b"]);
  assertEquals(bench.loaded("b").former.map(({ kind }) => kind), ["adapter_resident"]);
});

Deno.test("an adapter that an earlier engine knew is registered at once, and read when it is wanted", () => {
  const bench = new Bench();
  const { events, loader } = bench.known("a", 2);
  assertEquals(events.map(({ kind }) => kind), ["adapter_registered"]);
  assertEquals(loader, []);
  assertEquals(bench.plan(["a"]).loads, ["a"]);
});

Deno.test("files that vanished fail the requests that wait for them, for a while, and nobody else", () => {
  const bench = new Bench({ retryMs: 1000 });
  bench.known("gone", 2);
  bench.known("fine", 2);
  assertEquals(bench.plan(["gone", "fine", "base"]).kinds, ["waiting", "waiting", "granted"]);
  const { events, former } = bench.failed("gone", "no such file");
  assertEquals(events, [], "it stays registered: the files may come back");
  assertEquals(former, [
    { kind: "adapter_unavailable", adapter: adapterId("gone"), error: "no such file" },
  ]);
  bench.loaded("fine");
  bench.nowMs = 999;
  const { kinds, loads } = bench.plan(["gone", "fine"]);
  assertEquals([kinds, loads], [["refused", "granted"], []]);
  bench.nowMs = 1000;
  assertEquals(bench.plan(["gone"]).loads, ["gone"]);
  bench.loaded("gone");
  assertEquals(bench.plan(["gone"]).kinds, ["granted"]);
});

Deno.test("an adapter larger than all of host memory is refused, with the numbers", () => {
  const bench = new Bench({ hostBytes: 300 });
  bench.register("a");
  const [event] = bench.loaded("a", 4).events;
  assert(event?.kind === "adapter_rejected");
  assertEquals(
    event.error,
    "Cannot hold adapter a: adapter-host-bytes is 300, received an image of 400 bytes",
  );
});

Deno.test("slow reads take their own lanes, and what is registered later is read beside them (SGLang #8162)", () => {
  const bench = new Bench();
  const slow = ["s0", "s1", "s2", "s3"];
  assertEquals(bench.register(...slow, "a", "b"), slow);
  const asked = bench.plan([...slow, "a"]);
  assertEquals(asked.loads, ["a"], "who waits has a lane, though four reads hang");
  bench.loaded("a");
  assertEquals(bench.plan(["a"]).kinds, ["granted"]);
  assertEquals(loads(bench.failed("s0", "too slow")), ["b"]);
});

Deno.test("files that hang keep nobody's pages, and give up the room that is kept for them in host memory (SGLang #8162)", () => {
  const bench = new Bench({ hostBytes: 300 });
  for (const name of ["hung", "fine"]) bench.known(name, 2);
  assertEquals(bench.plan(["hung"]).kinds, ["waiting"]);
  const beside = bench.plan(["fine", "base"]);
  assertEquals([beside.kinds, beside.loads], [["crowded", "granted"], []]);
  bench.nowMs += 5001;
  const later = bench.plan(["fine", "base"]);
  assertEquals([later.kinds, later.loads], [["waiting", "granted"], ["fine"]]);
  bench.loaded("fine");
  assertEquals(bench.plan(["fine"]).kinds, ["granted"]);
});

Deno.test("an adapter whose files came too late is read once more, and its room is kept until it is there", () => {
  const bench = new Bench({ hostBytes: 300 });
  for (const name of ["late", "fine", "other"]) bench.known(name, 2);
  bench.plan(["late"]);
  bench.nowMs += 5001;
  bench.plan(["fine"]);
  bench.loaded("fine");
  assertEquals(bench.plan(["fine"]).uploads, ["fine"]);
  assertEquals(bench.loaded("late").former, []); // what is being uploaded has its room
  assertEquals(loads(bench.uploaded("fine")), ["late"]);
  bench.nowMs += 9000;
  assertEquals(bench.plan(["other"]).kinds, ["crowded"]);
  assertEquals(bench.loaded("late").former.map(({ kind }) => kind), ["adapter_resident"]);
  assertEquals(bench.plan(["late"]).kinds, ["granted"]);
});

Deno.test("more distinct adapters in a plan than ever fit beside base rows is no reason to fail (SGLang #23141)", () => {
  const bench = new Bench();
  const names = ["a", "b", "c", "d", "e"];
  bench.register(...names);
  for (const name of names) bench.loaded(name);
  const { kinds } = bench.plan(["base", ...names]);
  assertEquals(kinds, ["granted", "granted", "granted", "granted", "exhausted", "exhausted"]);
});

Deno.test("an adapter that is registered and loaded while others run takes nothing from them (vLLM #13698)", () => {
  const bench = new Bench();
  bench.register("a");
  bench.loaded("a");
  bench.plan(["a", "base"]);
  bench.uploaded("a");
  bench.register("b");
  bench.loaded("b");
  const { kinds, uploads, grants } = bench.plan(["a", "base", "b"]);
  assertEquals([kinds, uploads], [["granted", "granted", "granted"], ["b"]]);
  assertEquals(grants.map((grant) => grant.kind === "granted" && grant.arriving.length), [0, 0, 1]);
});

Deno.test("two thousand registrations are read a few at a time, and who asks meanwhile comes first (vLLM #5105, #5564, #16961)", () => {
  const bench = new Bench({ hostBytes: 1000 });
  const names = Array.from({ length: 2000 }, (_, i) => `a${i}`);
  const reading = bench.register(...names);
  assertEquals(reading.length, 4);
  reading.push(...bench.plan(["a1999"]).loads);
  let read = 0;
  for (let name = reading.shift(); name !== undefined; name = reading.shift(), read++) {
    reading.push(...loads(bench.loaded(name)));
    if (read === 4) assertEquals(bench.plan(["a1999"]).kinds, ["granted"]);
  }
  assertEquals(read, 2000);
  assertEquals(bench.plan([]).residency.hostBytes, 1000);
});

Deno.test("queued adapters are brought from disk to the GPU while others run, if that takes from nobody (vLLM #31941, SGLang #8712, #14190)", () => {
  const bench = new Bench();
  for (const [name, pages] of [["a", 3], ["b", 3], ["c", 2]] as const) bench.known(name, pages);
  assertEquals(bench.plan(["base"], ["a", "b"]).loads, ["a", "b"]);
  assertEquals(bench.loaded("a", 3).former, [], "nobody waits yet");
  bench.loaded("b", 3);
  assertEquals(bench.plan(["base"], ["a", "b"]).uploads, ["a", "b"]);
  bench.uploaded("a");
  bench.uploaded("b");
  bench.plan(["base", "c"]);
  bench.loaded("c", 2);
  const asked = bench.plan(["base", "c"], ["a", "b"]);
  assertEquals(
    [asked.kinds, asked.uploads],
    [["granted", "granted"], ["c"]],
    "no page is free now",
  );
  const { kinds, uploads, residency } = bench.plan(["base", "a"]);
  assertEquals([kinds, uploads], [["granted", "granted"], []], "its adapter was there before it");
  assertEquals([residency.prefetches, residency.gpuHits], [2, 1]);
});

Deno.test("a prefetch waits until what is on its way fits into one step", () => {
  const bench = new Bench({ uploadBytesPerStep: 250 });
  for (const name of ["a", "b", "c"]) {
    bench.register(name);
    bench.loaded(name);
  }
  assertEquals(bench.plan(["base"], ["a", "b", "c"]).uploads, ["a", "b"]);
  assertEquals(bench.plan(["base"], ["a", "b", "c"]).uploads, []);
  bench.uploaded("a");
  assertEquals(bench.plan(["base"], ["a", "b", "c"]).uploads, ["c"]);
});

Deno.test("nothing is prefetched while someone waits for pages", () => {
  const bench = new Bench();
  for (const [name, pages] of [["a", 9], ["b", 2]] as const) {
    bench.register(name);
    bench.loaded(name, pages);
  }
  bench.plan(["base"]);
  const { kinds, uploads } = bench.plan(["base", "a"], ["b"]);
  assertEquals([kinds, uploads], [["granted", "exhausted"], []]);
});

Deno.test("what was uploaded and how long it took is counted, in the same object until it changes", () => {
  const bench = new Bench();
  bench.register("a");
  bench.loaded("a");
  bench.plan(["a"]);
  bench.uploaded("a");
  const { residency } = bench.plan(["a"]);
  const { uploads, uploadBytes, uploadSeconds, gpuMisses } = residency;
  assertEquals([uploads, uploadBytes, uploadSeconds, gpuMisses], [1, 200, 0.5, 1]);
  assert(bench.plan(["a"]).residency === residency);
});

Deno.test("clients hear why an adapter could not be read, and not where its files are: equal files may be another tenant's", () => {
  const bench = new Bench({ retryMs: 1000 });
  bench.known("shared", 2);
  bench.plan(["shared"]);
  const { former } = bench.failed("shared", "NotFound: open '/shared/adapter_config.json'");
  const error = "NotFound: open 'its directory/adapter_config.json'";
  assertEquals(former, [{ kind: "adapter_unavailable", adapter: adapterId("shared"), error }]);
  const { grants } = bench.plan(["shared"]);
  assertEquals(grants, [{ kind: "refused", request: requestId("shared"), error }]);
  bench.register("new");
  const { events } = bench.failed("new", "Cannot load adapter: NaN, received /new");
  const [rejected] = events;
  assert(rejected?.kind === "adapter_rejected");
  assertEquals(rejected.error, "Cannot load adapter: NaN, received /new", "the operator does");
});
