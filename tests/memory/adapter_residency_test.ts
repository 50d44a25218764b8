import { assert, assertEquals, assertThrows } from "@std/assert";
import { AdapterResidency } from "../../memory/adapter_residency.ts";
import { adapterId, requestId } from "../../memory/ids.ts";
import { PagePool } from "../../memory/page_pool.ts";

const [small, large, head] = ["small", "large", "head"].map(adapterId) as [
  ReturnType<typeof adapterId>,
  ReturnType<typeof adapterId>,
  ReturnType<typeof adapterId>,
];
const request = requestId("r");
const layerPages = (pages: number) => ({ layerPages: pages, headPages: 0 });

/** 10 layer pages and 4 head pages, with all three adapters brought in at tick 1. */
function residency() {
  const layers = new PagePool(10);
  const heads = new PagePool(4);
  const adapters = new AdapterResidency(layers, heads);
  adapters.add(small, layerPages(2));
  adapters.add(large, layerPages(6));
  adapters.add(head, { layerPages: 1, headPages: 3 });
  for (const adapter of [small, large, head]) {
    assert(adapters.bringIn(adapter, 1));
    adapters.arrived(adapter, 1);
  }
  return { layers, heads, adapters };
}

Deno.test("bringIn() gives an adapter pages in both pools, or takes nothing", () => {
  const { layers, heads, adapters } = residency();
  assertEquals([layers.free, heads.free], [1, 1]);
  const wide = adapterId("wide");
  adapters.add(wide, { layerPages: 1, headPages: 2 });
  assertEquals(adapters.bringIn(wide, 2), null);
  assertEquals([layers.free, heads.free], [1, 1]);
  assertThrows(() => adapters.bringIn(small, 2), RangeError, "received small");
});

Deno.test("makeRoom() evicts the larger of two adapters that are idle equally long", () => {
  const { layers, adapters } = residency();
  assert(adapters.makeRoom(layerPages(2), 5));
  assertEquals([adapters.place(large), layers.free], [undefined, 7]);
  assert(adapters.place(small));
});

Deno.test("makeRoom() evicts a small adapter that is idle much longer than a large one", () => {
  const { adapters } = residency();
  adapters.touch(large, 20);
  adapters.touch(head, 20);
  assert(adapters.makeRoom(layerPages(2), 21));
  assertEquals(adapters.place(small), undefined);
  assert(adapters.place(large));
});

Deno.test("makeRoom() never evicts a pinned adapter, and evicts nothing where the rest is too little", () => {
  const { adapters } = residency();
  adapters.pin(large, request);
  assertEquals(adapters.makeRoom(layerPages(5), 9), false);
  assertEquals(adapters.residents.length, 3);
  assert(adapters.makeRoom(layerPages(4), 9));
  assertEquals(adapters.residents, [large]);
  adapters.checkIntegrity();
});

Deno.test("makeRoom() for the head pool leaves adapters alone that have nothing there", () => {
  const { adapters } = residency();
  assert(adapters.makeRoom({ layerPages: 0, headPages: 2 }, 9));
  assertEquals(adapters.residents, [small, large]);
});

Deno.test("an adapter pinned by two requests is idle again when both have let go", () => {
  const { adapters } = residency();
  const other = requestId("other");
  assert(adapters.pin(small, request));
  assertEquals(adapters.pin(small, request), false);
  adapters.pin(small, other);
  const idle = adapters.idle().layerPages;
  adapters.unpinAll(request, 3);
  assertEquals(adapters.idle().layerPages, idle);
  adapters.unpinAll(other, 3);
  assertEquals(adapters.idle().layerPages, idle + 2);
  adapters.checkIntegrity();
});

Deno.test("an evicted adapter stays known and can be brought in again", () => {
  const { adapters } = residency();
  adapters.makeRoom(layerPages(10), 2);
  assertEquals(adapters.residents, []);
  assertEquals(adapters.size(large), layerPages(6));
  assert(adapters.bringIn(large, 3));
});

Deno.test("an adapter on its way is not evicted, and is idle when it has arrived", () => {
  const { layers, adapters } = residency();
  adapters.makeRoom(layerPages(10), 2);
  adapters.bringIn(large, 3);
  assert(adapters.isArriving(large));
  assertEquals(adapters.idle().layerPages, 0);
  assertEquals(adapters.arrivingIdle.layerPages, 6);
  assertEquals(adapters.makeRoom(layerPages(5), 9), false);
  adapters.pin(large, request);
  assertEquals(adapters.arrivingIdle.layerPages, 0, "someone will use it");
  adapters.arrived(large, 4);
  adapters.unpinAll(request, 5);
  assert(adapters.makeRoom(layerPages(5), 9));
  assertEquals(layers.free, 10);
  assertThrows(() => adapters.arrived(small, 9), RangeError, "received small");
});

Deno.test("a forgotten adapter keeps its pages until its upload and its last request have ended", () => {
  const { layers, adapters } = residency();
  adapters.makeRoom(layerPages(10), 2);
  adapters.bringIn(large, 3);
  adapters.pin(large, request);
  adapters.forget(large);
  assertEquals(layers.free, 4);
  adapters.unpinAll(request, 4);
  assertEquals(layers.free, 4, "the executor still writes there");
  adapters.arrived(large, 5);
  assertEquals([layers.free, adapters.size(large)], [10, undefined]);
  adapters.checkIntegrity();
});

Deno.test("an adapter that is added again before its pages are free is not forgotten", () => {
  const { adapters } = residency();
  adapters.pin(small, request);
  adapters.forget(small);
  adapters.add(small, layerPages(2));
  adapters.unpinAll(request, 4);
  assert(adapters.place(small));
});

Deno.test("makeRoom() for later use takes nothing that was used since", () => {
  const { adapters } = residency();
  adapters.touch(large, 7);
  assertEquals(adapters.makeRoom(layerPages(5), 7, 7), false);
  assert(adapters.makeRoom(layerPages(4), 7, 7));
  assertEquals(adapters.residents, [large]);
});
