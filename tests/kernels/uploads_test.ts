import { assert, assertEquals } from "@std/assert";
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

Deno.test("UploadRing is not ready right after a write that waited for its only slot", async () => {
  const target = await upload(new Uint32Array(WORDS));
  const ring = new UploadRing({ ...await testDevice(), pace: null }, WORDS * 4, 1);
  const fill = (memory: Uint8Array) => void memory.fill(1);
  for (let i = 0; i < 3; i++) {
    await ring.write(target, 0, WORDS * 4, fill);
    // What follows a map says so within a few microtasks; a map takes longer.
    for (let turn = 0; turn < 4; turn++) await Promise.resolve();
    assert(!ring.ready, `after write ${i}`);
  }
  await ring.end();
});

Deno.test("UploadRing is ready for as many writes as it has slots, and again when the first was copied", async () => {
  const target = await upload(new Uint32Array(WORDS));
  const ring = new UploadRing(await testDevice(), WORDS * 4, 2);
  const fill = (memory: Uint8Array) => void memory.fill(1);
  for (let i = 0; i < 2; i++) {
    assert(ring.ready);
    await ring.write(target, 0, WORDS * 4, fill);
  }
  assert(!ring.ready);
  await ring.write(target, 0, WORDS * 4, fill); // waits for the first
  await downloadU32(target, WORDS);
  while (!ring.ready) await new Promise((resolve) => setTimeout(resolve, 1));
  await ring.end();
});
