import { assertEquals, assertRejects } from "@std/assert";
import { Readback } from "../../../kernels/readback.ts";
import { Checkpoint } from "../../../models/checkpoint.ts";
import { weightPlan } from "../../../models/weight_plan.ts";
import { GREEDY } from "../../../actors/sampling.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";
import { ARCHITECTURES, goldenDirectory, goldens } from "../../support/goldens.ts";

for (const architecture of ARCHITECTURES) {
  Deno.test(`${architecture}: every matrix in GPU memory is the checkpoint's, bit for bit`, async () => {
    const directory = goldenDirectory(architecture);
    const { parts } = await GoldenExecutor.start(directory);
    using checkpoint = Checkpoint.open(directory);
    for (const { name, kind, parts: tensors } of weightPlan(parts.config)) {
      const buffer = parts.weights.get(name);
      if (!buffer) throw new Error(`no buffer ${name}`);
      if (kind === "vector") continue;
      const stored = tensors.flatMap(({ tensor }) => {
        const found = checkpoint.find(tensor);
        const bytes = new Uint8Array(found?.bytes ?? 0);
        found?.read(0, bytes);
        return [...bytes];
      });
      const readback = await Readback.create(parts.device, buffer.size);
      const seen = new Uint8Array(await readback.once(buffer, buffer.size));
      assertEquals(seen.slice(0, stored.length), Uint8Array.from(stored), name);
    }
  });
}

Deno.test("a step after the GPU refused work fails instead of reporting stale tokens", async () => {
  const executor = await GoldenExecutor.start(goldenDirectory("llama"));
  const { prompt = [] } = goldens("llama").cases.base?.prompts[0] ?? {};
  const { slot } = await executor.open(0, prompt, [], GREEDY);
  await executor.step([{ slot, tokens: prompt, position: 0, blocks: 2 }]);
  const { gpu } = executor.parts.device;
  // A copy past the end of a buffer: refused when submitted, reported by an event.
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(executor.parts.buffers.y, 0, executor.parts.buffers.none, 0, 4096);
  const refused = new Promise((resolve) =>
    gpu.addEventListener("uncapturederror", resolve, { once: true })
  );
  try {
    gpu.queue.submit([encoder.finish()]);
  } catch {
    // Either way it did not run.
  }
  await refused;
  await assertRejects(
    () => executor.step([{ slot, tokens: null, position: prompt.length }]),
    Error,
    "the GPU refused work",
  );
});
