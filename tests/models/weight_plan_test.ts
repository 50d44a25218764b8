import { assertEquals } from "@std/assert";
import { Checkpoint } from "../../models/checkpoint.ts";
import { loadModelConfig } from "../../models/parse_config.ts";
import { bufferBytes, checkWeights, streamWeights } from "../../models/stream_weights.ts";
import { weightPlan } from "../../models/weight_plan.ts";
import { ARCHITECTURES, goldenDirectory } from "../support/goldens.ts";

for (const architecture of ARCHITECTURES) {
  Deno.test(`weightPlan() names every tensor of ${architecture} once`, async () => {
    const directory = goldenDirectory(architecture);
    const config = await loadModelConfig(directory);
    using checkpoint = Checkpoint.open(directory);
    const plan = weightPlan(config);
    const tensors = plan.flatMap(({ parts }) => parts.map(({ tensor }) => tensor));
    assertEquals(tensors.toSorted(), checkpoint.names.toSorted());
    assertEquals(new Set(plan.map(({ name }) => name)).size, plan.length);
  });

  Deno.test(`streamWeights() fills each buffer of ${architecture} from its first byte to its last`, async () => {
    const directory = goldenDirectory(architecture);
    const config = await loadModelConfig(directory);
    using checkpoint = Checkpoint.open(directory);
    const plan = weightPlan(config);
    const dtype = checkWeights(checkpoint, plan, config.tiedEmbeddings);
    const stored = checkpoint.find("model.embed_tokens.weight")?.dtype;
    assertEquals(dtype, stored === "F16" ? "f16" : "bf16");
    const filled = new Map<string, number>();
    for (const { buffer, offset, bytes } of streamWeights(checkpoint, plan, dtype)) {
      assertEquals(offset, filled.get(buffer) ?? 0);
      filled.set(buffer, offset + bytes);
    }
    assertEquals(filled, new Map(plan.map((buffer) => [buffer.name, bufferBytes(buffer)])));
  });
}

Deno.test("weightPlan() puts q, k, v and gate, up below each other, rows first", async () => {
  const config = await loadModelConfig(goldenDirectory("qwen2"));
  const plan = new Map(weightPlan(config).map((buffer) => [buffer.name, buffer.parts]));
  const [q, kv, hidden] = [6 * 16, 3 * 16, config.hiddenSize];
  const name = (part: string) => `model.layers.1.${part}`;
  assertEquals(plan.get("layers.1.qkv"), [
    { tensor: name("self_attn.q_proj.weight"), shape: [q, hidden] },
    { tensor: name("self_attn.k_proj.weight"), shape: [kv, hidden] },
    { tensor: name("self_attn.v_proj.weight"), shape: [kv, hidden] },
  ]);
  assertEquals(plan.get("layers.1.qkv_bias"), [
    { tensor: name("self_attn.q_proj.bias"), shape: [q] },
    { tensor: name("self_attn.k_proj.bias"), shape: [kv] },
    { tensor: name("self_attn.v_proj.bias"), shape: [kv] },
  ]);
  assertEquals(plan.get("layers.1.gate_up"), [
    { tensor: name("mlp.gate_proj.weight"), shape: [config.intermediateSize, hidden] },
    { tensor: name("mlp.up_proj.weight"), shape: [config.intermediateSize, hidden] },
  ]);
});

Deno.test("weightPlan() in int8 keeps the embeddings in 16 bits, and a tied head beside them in int8", async () => {
  for (const architecture of ARCHITECTURES) {
    const config = await loadModelConfig(goldenDirectory(architecture));
    const plan = weightPlan(config, "int8");
    const kinds = new Map(plan.map(({ name, kind }) => [name, kind]));
    assertEquals(kinds.get("embed"), "matrix");
    const others = weightPlan(config).filter(({ name, kind }) =>
      kind === "matrix" && name !== "embed"
    );
    for (const { name } of others) assertEquals(kinds.get(name), "int8");
    const head = plan.find(({ name }) => name === "lm_head");
    assertEquals(head?.kind, "int8");
    const tensor = config.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight";
    assertEquals(head?.parts, [{ tensor, shape: [config.vocabSize, config.hiddenSize] }]);
  }
});
