import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  bufferBytes,
  checkBuffers,
  createBuffers,
  createPool,
} from "../../../actors/executor/gpu_buffers.ts";
import { stepBounds } from "../../../actors/executor/step_bounds.ts";
import { loadModelConfig } from "../../../models/parse_config.ts";
import { goldenDirectory } from "../../support/goldens.ts";
import { testDevice } from "../../support/gpu.ts";

const options = { maxBatchTokens: 32, maxRunning: 4, maxRoutes: 2, maxModelLen: 128 };
const config = await loadModelConfig(goldenDirectory("qwen3"));
const bounds = stepBounds(options, config, 1);

Deno.test("bufferBytes() has room for every token, row of logits, slot and position", () => {
  const bytes = bufferBytes(config, bounds);
  const [tokens, rows, slots] = [32, 64, 4];
  assertEquals(bytes.h, tokens * config.hiddenSize * 4);
  // A projection of 32 rows may leave its sums in eight planes.
  assertEquals(bytes.qkv, 8 * tokens * (config.heads + 2 * config.kvHeads) * config.headDim * 4);
  assertEquals(bytes.gate_up, 8 * tokens * 2 * config.intermediateSize * 4);
  // Three modules a token in the layers, one a row of logits in the head; 256 rank rows of K = 2 entries.
  assertEquals(bytes.u, Math.max(tokens * 3, rows) * 2 * 256 * 4);
  assertEquals(bytes.partials, (4 + 256) * config.heads * (config.headDim + 4) * 4);
  assertEquals([bytes.logits, bytes.scores], [rows * config.vocabSize * 4, bytes.logits]);
  assertEquals([bytes.last_token, bytes.counts], [slots * 4, slots * config.vocabSize * 4]);
  assertEquals(bytes.rope, 128 * config.headDim * 4);
  assertEquals(bytes.step, bounds.stepWords * 4);
});

Deno.test("createBuffers() makes each buffer as large as said, and checkBuffers() names the one no binding holds", async () => {
  const device = await testDevice();
  const bytes = bufferBytes(config, bounds);
  for (const [name, buffer] of Object.entries(createBuffers(device, config, bounds))) {
    assert(buffer.size >= bytes[name as keyof typeof bytes] && buffer.size % 16 === 0);
    assertEquals(buffer.label, name);
    buffer.destroy();
  }
  checkBuffers(device.limits, config, bounds);
  assertThrows(
    () => checkBuffers({ maxBinding: bytes.step - 16 }, config, bounds),
    RangeError,
    "Cannot allocate buffer step: the device binds at most",
  );
});

Deno.test("a pool lies in two slabs where one binding cannot hold it, else the second is a dummy", async () => {
  const device = await testDevice();
  const layout = { pages: 5, pageBytes: 4096, slabPages: 3 };
  const pool = createPool(device, layout, "test");
  assertEquals([pool.pool0.size, pool.pool1.size], [3 * 4096, 2 * 4096]);
  assertEquals(createPool(device, { ...layout, pages: 3 }, "one slab").pool1.size, 16);
});
