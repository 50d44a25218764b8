import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type BudgetRequest, planBudget } from "../../memory/budget.ts";

const GiB = 2 ** 30;
/** Llama-3-8B: 32 layers, a KV block of 16 tokens is one page of 64 KiB. */
const request: BudgetRequest = {
  layers: 32,
  pageBytes: 65536,
  pagesPerBlock: 1,
  deviceBytes: 80 * GiB,
  usedBytes: 16 * GiB,
  maxBindingBytes: 2 * GiB - 4,
  poolBytes: null,
  headPoolBytes: null,
};

Deno.test("planBudget() leaves 5 % of the card free and gives the rest to the pools", () => {
  const { layer, head } = planBudget(request);
  const total = (layer.pages * 32 + head.pages) * 65536;
  const available = 0.95 * 80 * GiB - 16 * GiB;
  assert(total <= available);
  assert(total > available - 33 * 65536, `${available - total} bytes are left over`);
});

Deno.test("planBudget() takes the operator's bounds for the layers' pools and the head pool", () => {
  const { layer, head } = planBudget({ ...request, poolBytes: GiB, headPoolBytes: 65536 * 3 });
  assertEquals([layer.pages, head.pages], [512, 3]);
});

Deno.test("planBudget() gives a layer at most two slabs of one binding each", () => {
  const { layer } = planBudget({ ...request, deviceBytes: 300 * GiB });
  assertEquals(layer, { pages: 2 * 32767, pageBytes: 65536, slabPages: 32767 });
});

Deno.test("planBudget() takes 1 GiB where nothing says how much memory there is", () => {
  const { layer } = planBudget({ ...request, deviceBytes: null });
  assertEquals(layer.pages * 32 * 65536, GiB);
});

Deno.test("planBudget() refuses a pool that cannot hold one KV block and says what would do", () => {
  assertThrows(
    () => planBudget({ ...request, poolBytes: 1000 }),
    RangeError,
    "takes 2097152 bytes, so it needs at least that, received 1000",
  );
  assertThrows(
    () => planBudget({ ...request, usedBytes: 79 * GiB }),
    RangeError,
    "beside the 84825604096 bytes of the model",
  );
});

Deno.test("planBudget() refuses flags that ask for more than the card has left", () => {
  assertThrows(
    () => planBudget({ ...request, poolBytes: 70 * GiB }),
    RangeError,
    "bytes left for pools",
  );
});

Deno.test("planBudget() refuses a device whose bindings cannot hold one block", () => {
  assertThrows(
    () => planBudget({ ...request, pagesPerBlock: 3, maxBindingBytes: 65536 }),
    RangeError,
    "received 65536 bytes each",
  );
});

Deno.test("what planBudget() allots fits the card, the bindings and the flags, or it throws", () => {
  const bytes = (most: number) => fc.integer({ min: 1, max: most });
  const requests: fc.Arbitrary<BudgetRequest> = fc.record({
    layers: fc.integer({ min: 1, max: 80 }),
    pageBytes: fc.integer({ min: 4, max: 64 }).map((kibibytes) => kibibytes * 1024),
    pagesPerBlock: fc.integer({ min: 1, max: 4 }),
    deviceBytes: fc.option(bytes(200 * GiB)),
    usedBytes: bytes(40 * GiB),
    maxBindingBytes: fc.integer({ min: 2 ** 18, max: 4 * GiB }),
    poolBytes: fc.option(bytes(100 * GiB)),
    headPoolBytes: fc.option(bytes(4 * GiB)),
  });
  let planned = 0;
  fc.assert(fc.property(requests, (request) => {
    let budget;
    try {
      budget = planBudget(request);
    } catch (error) {
      assert(error instanceof RangeError);
      return;
    }
    planned++;
    const { layer, head } = budget;
    const layerBytes = layer.pages * layer.pageBytes * request.layers;
    const headBytes = head.pages * head.pageBytes;
    assert(layer.pages >= request.pagesPerBlock);
    assert(layer.slabPages * layer.pageBytes <= request.maxBindingBytes);
    assert(layer.pages <= 2 * layer.slabPages && head.pages <= 2 * head.slabPages);
    assert(layerBytes <= (request.poolBytes ?? Infinity));
    assert(headBytes <= (request.headPoolBytes ?? Infinity));
    if (request.deviceBytes === null) return;
    assert(layerBytes + headBytes + request.usedBytes <= request.deviceBytes * 0.95);
  }));
  assert(planned > 10);
});
