import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Checkpoint } from "../../models/checkpoint.ts";
import {
  bufferBytes,
  checkWeights,
  streamWeights,
  type WantedDtype,
} from "../../models/stream_weights.ts";
import type { WeightBuffer } from "../../models/weight_plan.ts";
import { toHalves } from "../support/half.ts";

type Dtype = "F16" | "BF16" | "F32";

/** The 16-bit words of a matrix after its way through a file of `dtype`. */
function load(dtype: Dtype, values: Float32Array, wanted: WantedDtype): Uint16Array {
  const directory = Deno.makeTempDirSync();
  try {
    const data = dtype === "F32"
      ? new Uint8Array(values.buffer as ArrayBuffer)
      : new Uint8Array(toHalves(values, dtype === "F16" ? "f16" : "bf16").bits.buffer);
    const entry = { dtype, shape: [values.length], data_offsets: [0, data.length] };
    const header = new TextEncoder().encode(JSON.stringify({ w: entry }));
    const file = new Uint8Array(8 + header.length + data.length);
    new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
    file.set(header, 8);
    file.set(data, 8 + header.length);
    Deno.writeFileSync(`${directory}/model.safetensors`, file);
    using checkpoint = Checkpoint.open(directory);
    const buffer: WeightBuffer = {
      name: "w",
      kind: "matrix",
      parts: [{ tensor: "w", shape: [values.length] }],
    };
    const words = new Uint8Array(bufferBytes(buffer));
    const became = checkWeights(checkpoint, [buffer], false, wanted);
    for (const { offset, bytes } of streamWeights(checkpoint, [buffer], became)) {
      words.set(bytes, offset);
    }
    return new Uint16Array(words.buffer);
  } finally {
    Deno.removeSync(directory, { recursive: true });
  }
}

const ordinary = fc.float32Array({ min: -60000, max: 60000, noNaN: true, minLength: 1 });

Deno.test("streamWeights() rounds f32 to the nearest number of 16 bits, whichever is asked for", () => {
  fc.assert(
    fc.property(ordinary, fc.constantFrom("auto", "f16", "bf16"), (values, wanted) => {
      const dtype = wanted === "bf16" ? "bf16" : "f16";
      assertEquals(load("F32", values, wanted), toHalves(values, dtype).bits);
    }),
    { numRuns: 30 },
  );
});

Deno.test("streamWeights() passes 16 bits on as they are", () => {
  const values = Float32Array.of(1, -0.1, 3e4, 6e-8, NaN);
  assertEquals(load("F16", values, "auto"), toHalves(values, "f16").bits);
  assertEquals(load("BF16", values, "bf16"), toHalves(values, "bf16").bits);
});

Deno.test("streamWeights() refuses numbers that the chosen 16 bits cannot hold, and says what can", () => {
  const large = Float32Array.of(1, 7e4);
  assertThrows(
    () => load("F32", large, "auto"),
    TypeError,
    "w does not fit into f16, received 70000; try --dtype bf16",
  );
  assertEquals(load("F32", large, "bf16"), toHalves(large, "bf16").bits);
  for (const value of [3.4e38, -Infinity, NaN]) {
    assertThrows(
      () => load("F32", Float32Array.of(value), "bf16"),
      TypeError,
      `does not fit into bf16, received ${Math.fround(value)}`,
    );
  }
});

Deno.test("checkWeights() does not convert a checkpoint of 16 bits into the other ones", () => {
  for (const [dtype, wanted] of [["BF16", "f16"], ["F16", "bf16"]] as const) {
    assertThrows(
      () => load(dtype, Float32Array.of(1), wanted),
      TypeError,
      `--dtype ${wanted} converts f32 checkpoints only, received one in ${dtype.toLowerCase()}`,
    );
  }
});
