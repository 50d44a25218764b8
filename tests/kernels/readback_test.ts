import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { Readback } from "../../kernels/readback.ts";
import { testDevice, upload } from "../support/gpu.ts";
import { randomSource } from "../support/random.ts";

const random = randomSource(5);
const randomWords = (count: number) =>
  Uint32Array.from({ length: count }, () => random() * 2 ** 32);

for (const eager of [true, false]) {
  const way = eager ? "read at once" : "awaited";

  Deno.test(`Readback, ${way}, gives the bytes of each of many submits in turn`, async () => {
    const device = await testDevice();
    const readback = await Readback.create(device, 4096, eager);
    for (let i = 0; i < 12; i++) {
      const words = randomWords(1 + Math.floor(random() * 1024));
      const buffer = await upload(words);
      const encoder = device.gpu.createCommandEncoder();
      readback.copy(encoder, buffer, words.byteLength);
      device.gpu.queue.submit([encoder.finish()]);
      assertEquals(new Uint32Array(await readback.read(words.byteLength)), words);
    }
  });

  Deno.test(`Readback, ${way}, waits for the work before the copy and reads from an offset`, async () => {
    const device = await testDevice();
    const readback = await Readback.create(device, 1024, eager);
    const buffer = await upload(new Uint32Array(2 ** 18));
    const words = randomWords(2 ** 18);
    for (let at = 0; at < words.length; at += 2 ** 16) {
      device.gpu.queue.writeBuffer(buffer, at * 4, words.slice(at, at + 2 ** 16));
    }
    for (const at of [0, 256, 2 ** 18 - 256]) {
      const seen = new Uint32Array(await readback.once(buffer, 1024, at * 4));
      assertEquals(seen, words.slice(at, at + 256));
    }
  });

  Deno.test(`Readback, ${way}, keeps what it gave when it is used again`, async () => {
    const device = await testDevice();
    const readback = await Readback.create(device, 64, eager);
    const [first, second] = [randomWords(16), randomWords(16)];
    const kept = await readback.once(await upload(first), 64);
    await readback.once(await upload(second), 64);
    assertEquals(new Uint32Array(kept), first);
  });
}

Deno.test("Readback gives what several submits copied in their order, and refuses a third copy before a read", async () => {
  const device = await testDevice();
  const readback = await Readback.create(device, 64, false);
  const words = [randomWords(16), randomWords(16), randomWords(16)];
  const [first, second, third] = await Promise.all(words.map(upload));
  const submit = (source: GPUBuffer | undefined) => {
    assert(source);
    const encoder = device.gpu.createCommandEncoder();
    readback.copy(encoder, source, 64);
    device.gpu.queue.submit([encoder.finish()]);
  };
  submit(first);
  submit(second);
  assertThrows(() => submit(third), RangeError, "two copies wait to be read");
  assertEquals(new Uint32Array(await readback.read(64)), words[0]);
  submit(third);
  assertEquals(new Uint32Array(await readback.read(64)), words[1]);
  assertEquals(new Uint32Array(await readback.read(64)), words[2]);
  await assertRejects(() => readback.read(64), RangeError, "nothing was copied");
});

Deno.test("Readback rejects more bytes than it was made for, and goes on", async () => {
  const device = await testDevice();
  const readback = await Readback.create(device, 64);
  const buffer = await upload(randomWords(16));
  await assertRejects(() => readback.once(buffer, 128));
  const words = randomWords(16);
  assertEquals(new Uint32Array(await readback.once(await upload(words), 64)), words);
});
