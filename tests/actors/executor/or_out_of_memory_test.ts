import { assert, assertEquals, assertRejects } from "@std/assert";
import { orOutOfMemory } from "../../../actors/executor/or_out_of_memory.ts";
import { testDevice } from "../../support/gpu.ts";

const usage = GPUBufferUsage.STORAGE;

Deno.test("what the device cannot give is an error that names it and the flags to lower, and the device lives on", async () => {
  const device = await testDevice();
  const error = await assertRejects(
    () =>
      orOutOfMemory(
        device,
        "the pools",
        () => device.gpu.createBuffer({ size: device.gpu.limits.maxBufferSize + 2 ** 20, usage }),
      ),
    RangeError,
    "Cannot allocate the pools: ",
  );
  for (const flag of ["pool-bytes", "max-batch-tokens", "max-running"]) {
    assert(error.message.includes(flag), error.message);
  }
  const create = () => device.gpu.createBuffer({ size: 4096, usage });
  assertEquals((await orOutOfMemory(device, "a page", create)).size, 4096);
});
