import { assert, assertEquals } from "@std/assert";
import { Readback } from "../../../kernels/readback.ts";
import { Checkpoint } from "../../../models/checkpoint.ts";
import { weightPlan } from "../../../models/weight_plan.ts";
import { heldOut, heldOutLosses } from "../../support/demo_answers.ts";
import { GoldenExecutor } from "../../support/golden_executor.ts";

const DEMO = new URL("../../../models/demo/base", import.meta.url).pathname;

Deno.test("with --dtype int8 every projection is within half a scale of the checkpoint's, and the embeddings are its own", async () => {
  const { parts } = await GoldenExecutor.start(DEMO, 1, { dtype: "int8" });
  using checkpoint = Checkpoint.open(DEMO);
  const names: string[] = [];
  for (const { name, kind, parts: tensors } of weightPlan(parts.config, "int8")) {
    const buffer = parts.weights.get(name);
    if (!buffer) throw new Error(`no buffer ${name}`);
    if (kind === "vector") continue;
    const stored = tensors.flatMap(({ tensor }) => {
      const found = checkpoint.find(tensor);
      const halves = new Float16Array((found?.bytes ?? 0) / 2);
      found?.read(0, new Uint8Array(halves.buffer));
      return [...halves];
    });
    const readback = await Readback.create(parts.device, buffer.size);
    const seen = await readback.once(buffer, buffer.size);
    if (kind === "matrix") {
      assertEquals([...new Float16Array(seen, 0, stored.length)], stored, name);
      continue;
    }
    names.push(name);
    const q = new Int8Array(seen, 0, stored.length);
    const scales = new Float32Array(seen, stored.length);
    const width = stored.length / tensors.reduce((sum, { shape: [rows = 0] }) => sum + rows, 0);
    stored.forEach((value, i) => {
      const scale = scales[Math.floor(i / width)] ?? NaN;
      assert(Math.abs((q[i] ?? NaN) * scale - value) <= scale * 0.5001, `${name}[${i}]`);
    });
  }
  assertEquals(names.length, parts.config.layers * 4 + 1);
  assertEquals(names.at(-1), "lm_head");
});

Deno.test("int8 moves the held-out loss of the base and of each demo adapter by less than 1 %", async () => {
  // A few words each keep this quick; docs/decisions.md has more.
  const f16 = await heldOutLosses("auto", 2);
  const int8 = await heldOutLosses("int8", 2);
  assertEquals([...int8.keys()], Object.keys(heldOut));
  for (const [model, loss] of f16) {
    const seen = int8.get(model);
    const chat = (seen?.chat ?? NaN) / loss.chat - 1;
    assert(Math.abs(chat) < 0.01, `${model}: chats at ${seen?.chat}, f16 ${loss.chat}`);
    // Of answers f32 itself tells no more than about 1e-6: a ratio would compare roundings.
    const answer = (seen?.answer ?? NaN) - loss.answer;
    assert(Math.abs(answer) < 1e-4, `${model}: answers at ${seen?.answer}, f16 ${loss.answer}`);
  }
});
