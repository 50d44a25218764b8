import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Checkpoint } from "../../models/checkpoint.ts";
import {
  bufferBytes,
  checkWeights,
  CHUNK_BYTES,
  streamWeights,
  type WantedDtype,
} from "../../models/stream_weights.ts";
import type { WeightBuffer } from "../../models/weight_plan.ts";
import { toHalves } from "../support/half.ts";
import {
  inDirectory,
  type TensorData,
  writeRaw,
  writeSafetensors,
} from "../support/write_safetensors.ts";

/** Names in plan order; a matrix has two dimensions, a vector one. */
type Tensors = Readonly<Record<string, TensorData>>;
const planOf = (tensors: Tensors): WeightBuffer[] =>
  Object.entries(tensors).map(([name, { shape }]) => ({
    name,
    kind: shape.length === 1 ? "vector" : "matrix",
    parts: [{ tensor: name, shape }],
  }));

/** The bytes of each planned buffer after its way through a file that holds `tensors`. */
function stream(
  tensors: Tensors,
  wanted: WantedDtype = "auto",
  plan = planOf(tensors),
  tied = false,
): Map<string, Uint8Array<ArrayBuffer>> {
  return inDirectory((directory) => {
    writeSafetensors(`${directory}/model.safetensors`, tensors);
    using checkpoint = Checkpoint.open(directory);
    const became = checkWeights(checkpoint, plan, tied, wanted);
    const buffers = new Map(plan.map((b) => [b.name, new Uint8Array(bufferBytes(b))]));
    for (const { buffer, offset, bytes, read } of streamWeights(checkpoint, plan, became)) {
      const whole = buffers.get(buffer);
      if (whole) read(whole.subarray(offset, offset + bytes));
    }
    return buffers;
  });
}

const matrix = (dtype: TensorData["dtype"], values: ArrayLike<number>): TensorData => ({
  dtype,
  shape: [1, values.length],
  values,
});

/** The 16-bit words of a matrix after its way through a file of `dtype`. */
function load(dtype: TensorData["dtype"], values: Float32Array, wanted: WantedDtype): Uint16Array {
  return new Uint16Array(stream({ w: matrix(dtype, values) }, wanted).get("w")?.buffer ?? []);
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

Deno.test("streamWeights() refuses a NaN whatever its bits", () =>
  inDirectory((directory) => {
    // Rounding the largest words up to 16 bits carries past them.
    for (const word of [0xffff_ffff, 0x7fff_ffff, 0x7f80_0001, 0xffc0_0000]) {
      const header = { w: { dtype: "F32", shape: [1, 1], data_offsets: [0, 4] } };
      const data = new Uint8Array(Uint32Array.of(word).buffer);
      writeRaw(`${directory}/model.safetensors`, header, data);
      using checkpoint = Checkpoint.open(directory);
      const plan = planOf({ w: matrix("F32", [NaN]) });
      for (const dtype of ["f16", "bf16"] as const) {
        const all = () => [...streamWeights(checkpoint, plan, dtype)][0]?.read(new Uint8Array(2));
        assertThrows(all, TypeError, `w does not fit into ${dtype}, received NaN`);
      }
    }
  }));

Deno.test("checkWeights() does not convert a checkpoint of 16 bits into the other ones", () => {
  for (const [dtype, wanted] of [["BF16", "f16"], ["F16", "bf16"]] as const) {
    assertThrows(
      () => load(dtype, Float32Array.of(1), wanted),
      TypeError,
      `--dtype ${wanted} converts f32 checkpoints only, received one in ${dtype.toLowerCase()}`,
    );
  }
});

Deno.test("streamWeights() widens vectors of every type exactly", () => {
  const values = Float32Array.of(1, -0.5, 2 ** -14, 240);
  for (const dtype of ["F16", "BF16", "F32"] as const) {
    const norm: TensorData = { dtype, shape: [4], values };
    const buffers = stream({ norm, w: matrix("F16", [1, 2]) });
    assertEquals(new Float32Array(buffers.get("norm")?.buffer ?? []), values);
  }
});

Deno.test("streamWeights() cuts a buffer of several tensors into chunks that are read where they go", () =>
  inDirectory((directory) => {
    // A little more than one chunk, and a second tensor behind it.
    const long = Float32Array.from({ length: 2 ** 22 + 5 }, (_, i) => i % 1000);
    const parts = { a: matrix("F16", long), b: matrix("F16", [7, 8]) };
    writeSafetensors(`${directory}/model.safetensors`, parts);
    using checkpoint = Checkpoint.open(directory);
    const buffer: WeightBuffer = {
      name: "ab",
      kind: "matrix",
      parts: Object.entries(parts).map(([tensor, { shape }]) => ({ tensor, shape })),
    };
    const words = new Uint8Array(bufferBytes(buffer));
    let chunks = 0;
    for (const { offset, bytes, read } of streamWeights(checkpoint, [buffer], "f16")) {
      assert(bytes <= CHUNK_BYTES);
      read(words.subarray(offset, offset + bytes));
      chunks++;
    }
    assertEquals(chunks, 3);
    assertEquals(new Uint16Array(words.buffer), toHalves([...long, 7, 8], "f16").bits);
  }));

Deno.test("streamWeights() hands rows that shall be int8 over whole and in order, in 16 bits, over several tensors", () =>
  inDirectory((directory) => {
    // 16 * 3 columns: no whole number of rows fills a chunk.
    const width = 48;
    const [high, low] = [90_001, 8];
    const values = Float32Array.from({ length: (high + low) * width }, (_, i) => i % 1009 - 500);
    const tensors: Tensors = {
      a: { dtype: "F16", shape: [high, width], values: values.subarray(0, high * width) },
      b: { dtype: "F16", shape: [low, width], values: values.subarray(high * width) },
    };
    writeSafetensors(`${directory}/model.safetensors`, tensors);
    using checkpoint = Checkpoint.open(directory);
    const parts = planOf(tensors).flatMap(({ parts }) => parts);
    const buffer: WeightBuffer = { name: "ab", kind: "int8", parts };
    const dtype = checkWeights(checkpoint, [buffer], false, "int8");
    assertEquals(dtype, "f16");
    const seen = new Float16Array(values.length);
    let next = 0;
    for (const chunk of streamWeights(checkpoint, [buffer], dtype)) {
      assert(chunk.rows);
      const { input, out, first, rows } = chunk.rows;
      assertEquals([input, out, first], [width, high + low, next]);
      assertEquals([chunk.offset, chunk.bytes], [0, rows * width * 2]);
      assert(chunk.bytes <= CHUNK_BYTES);
      chunk.read(new Uint8Array(seen.buffer, first * width * 2, chunk.bytes));
      next += rows;
    }
    assertEquals(next, high + low);
    assert(seen.every((value, i) => value === values[i]));
  }));

Deno.test("checkWeights() refuses int8 where a row is no multiple of 16, naming the tensor", () =>
  inDirectory((directory) => {
    const tensors = { w: matrix("F16", new Float32Array(24)) };
    writeSafetensors(`${directory}/model.safetensors`, tensors);
    using checkpoint = Checkpoint.open(directory);
    const plan = planOf(tensors).map((buffer): WeightBuffer => ({ ...buffer, kind: "int8" }));
    assertThrows(
      () => checkWeights(checkpoint, plan, false, "int8"),
      TypeError,
      "--dtype int8 takes inputs that are a multiple of 16, received 24 for w; use --dtype auto",
    );
  }));

Deno.test("checkWeights() names the tensor that is missing, misshapen, left over or of another type", () => {
  const tensors = { a: matrix("F16", [1, 2]), b: matrix("F16", [3, 4]) };
  const refused = (changed: Tensors, ...words: string[]) => {
    for (const word of ["Cannot load model", ...words]) {
      assertThrows(() => stream(changed, "auto", planOf(tensors)), TypeError, word);
    }
  };
  refused({ a: tensors.a }, "no tensor b");
  refused({ ...tensors, b: matrix("F16", [3]) }, "b must have shape [1,2]", "received [1,1]");
  refused({ ...tensors, b: matrix("BF16", [3, 4]) }, "share one dtype, F16; received BF16 for b");
  refused({ ...tensors, c: matrix("F16", [5]) }, "does not use", "received c");
  stream({ ...tensors, "x.rotary_emb.inv_freq": matrix("F32", [5]) }, "auto", planOf(tensors));
});

Deno.test("checkWeights() takes a tied model's stored head only where it is the embedding", () => {
  const embedding = { "model.embed_tokens.weight": matrix("F16", [1, 2]) };
  const tied = (head: TensorData) =>
    stream({ ...embedding, "lm_head.weight": head }, "auto", planOf(embedding), true);
  tied(matrix("F16", [1, 2]));
  tied(matrix("F32", [1, 2]));
  assertThrows(() => tied(matrix("F16", [1, 3])), TypeError, "set tie_word_embeddings to false");
  assertThrows(() => tied(matrix("F16", [1, 2, 3])), TypeError, "lm_head.weight must equal");
});
