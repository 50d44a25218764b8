import { assertEquals, assertThrows } from "@std/assert";
import { readHalfMatrices } from "../../models/half_matrices.ts";
import { halfValues, toHalves } from "../support/half.ts";
import { flat, withTensors } from "../support/with_tensors.ts";
import type { TensorData } from "../support/write_safetensors.ts";

const read = (a: TensorData, b: TensorData) =>
  withTensors({ a, b }, (a, b) => {
    if (!a || !b) throw new Error("no tensors");
    return readHalfMatrices(a, b);
  });

Deno.test("readHalfMatrices() takes A and B of one 16-bit type as they are", () => {
  const values = Float32Array.of(0.1, -3, 6e-8, 6e4);
  for (const [dtype, half] of [["F16", "f16"], ["BF16", "bf16"]] as const) {
    const { bits } = toHalves(values, half);
    const matrices = read(flat(dtype, values), flat(dtype, [1, ...values]));
    assertEquals(matrices.dtype, half);
    assertEquals([matrices.a, matrices.b.subarray(1)], [bits, bits]);
  }
});

/** The type in which f32 (or mixed) matrices that hold `value` are read. */
const dtypeOf = (value: number, mixed: TensorData["dtype"] = "F32") =>
  read(flat(mixed, [1, 0.5]), flat("F32", [value])).dtype;

Deno.test("readHalfMatrices() takes the 16 bits that lose nothing, else f16 where its range is enough", () => {
  assertEquals([65504, 2 ** -24, 0.1, 0, -0].map((x) => dtypeOf(x)), Array(5).fill("f16"));
  assertEquals([65536, 2 ** -30, 1e5, 3.38e38].map((x) => dtypeOf(x)), Array(4).fill("bf16"));
  assertEquals([dtypeOf(0.1, "BF16"), dtypeOf(1e5, "F16")], ["f16", "bf16"]);
  const rounded = read(flat("F32", [0.1]), flat("BF16", [1 / 3]));
  const numbers = [...halfValues(rounded.a, "f16"), ...halfValues(rounded.b, "f16")];
  const third = toHalves([1 / 3], "bf16").values;
  assertEquals(numbers, [...toHalves([0.1], "f16").values, ...toHalves(third, "f16").values]);
});

Deno.test("readHalfMatrices() refuses numbers that no 16 bits hold, naming the tensors", () => {
  assertThrows(
    () => dtypeOf(3.4e38),
    RangeError,
    "a and b must fit into bf16, received numbers up to 3.3",
  );
});
