import type { Device } from "../../kernels/device.ts";

/** Runs `create` and turns the device's out-of-memory error into one the operator can act on. */
export async function orOutOfMemory<T>(device: Device, what: string, create: () => T): Promise<T> {
  device.gpu.pushErrorScope("out-of-memory");
  device.gpu.pushErrorScope("validation");
  const created = create();
  // Both at once: others use scopes while one waits.
  const [validation, memory] = await Promise.all([
    device.gpu.popErrorScope(),
    device.gpu.popErrorScope(),
  ]);
  const error = memory ?? validation;
  if (error) {
    throw new RangeError(
      `Cannot allocate ${what}: the device is out of memory; lower pool-bytes, max-batch-tokens or ` +
        `max-running, received "${error.message.split("\n")[0]}"`,
    );
  }
  return created;
}
