import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { UploadRing } from "../../kernels/upload_ring.ts";
import { downloadU32, testDevice, upload } from "../support/gpu.ts";

Deno.test("UploadRing brings every byte to its place, whatever the sizes, and takes nothing from later writes", async () => {
  const device = await testDevice();
  const WORDS = 4096;
  const write = fc.nat({ max: WORDS - 1 }).chain((at) =>
    fc.record({ at: fc.constant(at), length: fc.integer({ min: 0, max: WORDS - at }) })
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(write, { maxLength: 12 }),
      fc.integer({ min: 1, max: 3 }),
      async (writes, slots) => {
        const ring = new UploadRing(device, 1024, slots);
        const expected = new Uint32Array(WORDS);
        const target = await upload(expected);
        const source = new Uint32Array(WORDS);
        for (const [i, { at, length }] of writes.entries()) {
          // One memory for all: what was written may change at once.
          source.fill(i + 1);
          expected.fill(i + 1, at, at + length);
          await ring.write(target, at * 4, new Uint8Array(source.buffer, 0, length * 4));
        }
        await ring.end();
        assertEquals(await downloadU32(target, WORDS), expected);
        target.destroy();
      },
    ),
    { numRuns: 20 },
  );
});
