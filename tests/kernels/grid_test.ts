import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { grid } from "../../kernels/grid.ts";
import { defineKernel } from "../../kernels/kernel.ts";
import { dispatch, downloadU32, upload } from "../support/gpu.ts";

Deno.test("grid() covers all work with dimensions that every device has, and wastes less than a row", () => {
  const most = 32768 * 65535;
  const work = fc.oneof(fc.nat(200_000), fc.nat(most), fc.constantFrom(0, 32768, 32769, most));
  fc.assert(
    fc.property(work, (work) => {
      const [x, y] = grid(work);
      assert(x <= 65535 && y <= 65535, `${x} x ${y}`);
      assert(x * y >= work && x * (y - 1) < Math.max(1, work), `${x} x ${y} for ${work}`);
    }),
    { numRuns: 2000 },
  );
});

/** Counts how often each piece of work is done, as kernels number it. */
const count = defineKernel({
  name: "test_count",
  source: `
    @group(0) @binding(0) var<storage, read_write> done: array<atomic<u32>>;
    override WORK: u32;
    @compute @workgroup_size(1)
    fn main(@builtin(workgroup_id) wid: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
      let work = wid.y * grid.x + wid.x;
      if (work >= WORK) { return; }
      atomicAdd(&done[work], 1u);
    }`,
  includes: [],
  bindings: { done: "read_write" },
  constants: ["WORK"],
});

for (const work of [1, 32768, 32769, 70_001]) {
  Deno.test(`a kernel over grid(${work}) does each piece of work once`, async () => {
    const done = await upload(new Uint32Array(work + 8));
    await dispatch(count, { WORK: work }, { done }, grid(work));
    const counts = await downloadU32(done, work + 8);
    assertEquals(counts.findIndex((count, i) => count !== Number(i < work)), -1);
  });
}
