import { assertEquals } from "@std/assert";
import fc from "fast-check";
import type { Device } from "../../kernels/device.ts";
import { UploadRing } from "../../kernels/upload_ring.ts";
import { UploadWrites } from "../../kernels/upload_writes.ts";
import type { Uploads } from "../../kernels/uploads.ts";
import { downloadU32, testDevice, upload } from "../support/gpu.ts";

const WORDS = 4096;
const WAYS: Readonly<Record<string, (device: Device) => Uploads | Promise<Uploads>>> = {
  "UploadRing of one slot": (device) => new UploadRing(device, WORDS * 4, 1),
  "UploadRing of three slots": (device) => new UploadRing(device, WORDS * 4, 3),
  UploadWrites: (device) => UploadWrites.create(device, WORDS * 4),
};
const write = fc.nat({ max: WORDS - 1 }).chain((at) =>
  fc.record({ at: fc.constant(at), length: fc.integer({ min: 1, max: WORDS - at }) })
);

for (const [name, open] of Object.entries(WAYS)) {
  Deno.test(`${name} brings every byte to its place, in the order of the writes`, async () => {
    const device = await testDevice();
    await fc.assert(
      fc.asyncProperty(fc.array(write, { maxLength: 12 }), async (writes) => {
        const uploads = await open(device);
        const expected = new Uint32Array(WORDS);
        const target = await upload(expected);
        for (const [i, { at, length }] of writes.entries()) {
          expected.fill(i + 1, at, at + length);
          await uploads.write(
            target,
            at * 4,
            length * 4,
            ({ buffer, byteOffset, length: bytes }) =>
              new Uint32Array(buffer, byteOffset, bytes / 4).fill(i + 1),
          );
        }
        await uploads.end();
        assertEquals(await downloadU32(target, WORDS), expected);
        target.destroy();
      }),
      { numRuns: 15 },
    );
  });
}
