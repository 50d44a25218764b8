import { assert, assertEquals } from "@std/assert";
import { AdapterStore } from "../../../actors/memory_manager/adapter_store.ts";
import type { Effects } from "../../../actors/memory_manager/effects.ts";
import { Traffic } from "../../../actors/memory_manager/traffic.ts";
import { adapterId, epoch } from "../../../memory/ids.ts";
import type { AdapterImage } from "../../../models/adapter_image.ts";

const a = adapterId("a");
const image: AdapterImage = {
  layers: { bytes: new SharedArrayBuffer(100), pages: 1, copies: 1 },
  head: null,
  maxRank: 8,
  moduleRanks: [8, 0, 0, 0, 0, 0, 0],
  headRanks: [0, 0],
  dora: false,
};
const effects = (): Effects => ({ loader: [], executor: [], former: [], events: [] });
const storeOf = () =>
  new AdapterStore({ hostBytes: 1000, retryMs: 1000 }, epoch(1), new Traffic(), () => null);

Deno.test("an adapter that is forgotten while an upload reads its image goes when the upload has ended", () => {
  const store = storeOf();
  store.register({ kind: "register", adapter: a, path: "/a" }, effects());
  store.loaded(a, image, 1, 0, effects());
  assertEquals(store.hold(a, 1), image);
  store.forget(a, effects());
  assertEquals([store.isRegistered(a), store.has(a)], [false, true]);
  store.letGo(a);
  assertEquals([store.has(a), store.host.bytes], [false, 0]);
});

Deno.test("who waits for an adapter that is forgotten hears so, and what is then read is dropped", () => {
  const store = storeOf();
  const out = effects();
  store.register({ kind: "register", adapter: a, path: "/a" }, out);
  store.loadNext(0, out);
  store.wait([a], [a]);
  store.forget(a, out);
  assertEquals(out.former.map(({ kind }) => kind), ["adapter_unavailable"]);
  store.loaded(a, image, 1, 0, out);
  assertEquals([store.has(a), store.host.count, out.events.length], [false, 0, 0]);
});

Deno.test("an adapter that failed is read again, from its new place, when it is registered again", () => {
  const store = storeOf();
  const out = effects();
  store.register({ kind: "register", adapter: a, path: "/old" }, out);
  store.loadNext(0, out);
  store.failed(a, "gone", 0, out);
  store.register({ kind: "register", adapter: a, path: "/new" }, out);
  store.loadNext(0, out);
  assertEquals(out.loader.map(({ path }) => path), ["/old", "/new"]);
  store.loaded(a, image, 1, 0, out);
  assert(store.has(a));
});

Deno.test("an adapter that moves while it is read is read from its new place before it fails", () => {
  for (const awaited of [false, true]) {
    const store = storeOf();
    const out = effects();
    store.register({ kind: "register", adapter: a, path: "/old" }, out);
    store.loadNext(0, out);
    if (awaited) store.wait([a], [a]);
    else store.forget(a, out); // unloaded, and loaded again from elsewhere
    store.register({ kind: "register", adapter: a, path: "/new" }, out);
    store.loadNext(0, out);
    assertEquals(out.loader.length, 1, "one read at a time");
    store.failed(a, "gone", 0, out);
    store.loadNext(0, out);
    assertEquals(out.loader.map(({ path }) => path), ["/old", "/new"]);
    assertEquals([out.events, out.former], [[], []]);
    store.failed(a, "gone too", 0, out);
    assertEquals(out.events.map(({ kind }) => kind), ["adapter_rejected"]);
    assertEquals(out.former.map(({ kind }) => kind), awaited ? ["adapter_unavailable"] : []);
  }
});

Deno.test("an adapter that comes back before its image is gone is registered at once", () => {
  const store = storeOf();
  store.register({ kind: "register", adapter: a, path: "/a" }, effects());
  store.loaded(a, image, 1, 0, effects());
  store.hold(a, 1);
  store.forget(a, effects());
  const out = effects();
  store.register({ kind: "register", adapter: a, path: "/a" }, out);
  store.loadNext(0, out);
  assertEquals([out.events.map(({ kind }) => kind), out.loader], [["adapter_registered"], []]);
  store.letGo(a);
  assert(store.has(a));
});

Deno.test("an image counts as dropped when it was kept and is not, and when it came and was never kept", () => {
  const store = storeOf();
  const out = effects();
  store.register({ kind: "register", adapter: a, path: "/a" }, out);
  store.loaded(a, image, 1, 0, out);
  assertEquals(store.dropped, 0);
  store.forget(a, out);
  assertEquals(store.dropped, 100);
  store.loaded(a, image, 1, 0, out); // nobody knows it any more
  assertEquals(store.dropped, 200);
});
