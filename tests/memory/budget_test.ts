import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type BudgetRequest, planBudget } from "../../memory/budget.ts";

const GiB = 2 ** 30;
/** Llama-3-8B: 32 layers, a KV block of 16 tokens is one page of 64 KiB. */
const request: BudgetRequest = {
  layers: 32,
  pageBytes: 65536,
  pagesPerBlock: 1,
  maxBindingBytes: 2 * GiB - 4,
  poolBytes: 4 * GiB,
  headPoolBytes: null,
};

Deno.test("planBudget() shares the pool among the layers, and adds a sixteenth of it for the head", () => {
  const { layer, head } = planBudget(request);
  assertEquals([layer.pages * 32 * 65536, head.pages * 65536], [4 * GiB, GiB / 4]);
});

Deno.test("planBudget() takes the operator's bounds for the layers' pools and the head pool", () => {
  const { layer, head } = planBudget({ ...request, poolBytes: GiB, headPoolBytes: 65536 * 3 });
  assertEquals([layer.pages, head.pages], [512, 3]);
});

Deno.test("planBudget() gives a layer at most two slabs of one binding each", () => {
  const { layer } = planBudget({ ...request, poolBytes: 300 * GiB });
  assertEquals(layer, { pages: 2 * 32767, pageBytes: 65536, slabPages: 32767 });
});

Deno.test("planBudget() refuses a pool that cannot hold one KV block and says what would do", () => {
  assertThrows(
    () => planBudget({ ...request, poolBytes: 1000 }),
    RangeError,
    "at least the 2097152 bytes of one KV block of 32 layers, received 1000",
  );
});

Deno.test("planBudget() refuses a device whose bindings cannot hold one block", () => {
  assertThrows(
    () => planBudget({ ...request, pagesPerBlock: 3, maxBindingBytes: 65536 }),
    RangeError,
    "received 65536 bytes each",
  );
});

Deno.test("what planBudget() allots fits the bindings and the flags, or it throws", () => {
  const bytes = (most: number) => fc.integer({ min: 1, max: most });
  const requests: fc.Arbitrary<BudgetRequest> = fc.record({
    layers: fc.integer({ min: 1, max: 80 }),
    pageBytes: fc.integer({ min: 4, max: 64 }).map((kibibytes) => kibibytes * 1024),
    pagesPerBlock: fc.integer({ min: 1, max: 4 }),
    maxBindingBytes: fc.integer({ min: 2 ** 18, max: 4 * GiB }),
    poolBytes: bytes(100 * GiB),
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
    assert(layer.pages >= request.pagesPerBlock);
    assert(layer.slabPages * layer.pageBytes <= request.maxBindingBytes);
    assert(layer.pages <= 2 * layer.slabPages && head.pages <= 2 * head.slabPages);
    assert(layer.pages * layer.pageBytes * request.layers <= request.poolBytes);
    assert(head.pages * head.pageBytes <= (request.headPoolBytes ?? request.poolBytes / 16));
  }));
  assert(planned > 10);
});
