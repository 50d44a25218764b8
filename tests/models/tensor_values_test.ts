import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { readFloats, readHalves, sameValues } from "../../models/tensor_values.ts";
import { toHalves } from "../support/half.ts";
import { flat, withTensors } from "../support/with_tensors.ts";

Deno.test("readFloats() widens every type exactly", () => {
  const numbers = fc.float32Array({ min: -60000, max: 60000, noNaN: true, maxLength: 40 });
  fc.assert(
    fc.property(numbers, (values) => {
      const data = {
        f32: flat("F32", values),
        f16: flat("F16", values),
        bf16: flat("BF16", values),
      };
      withTensors(data, (...tensors) => {
        const [f32, f16, bf16] = tensors.map((tensor) => Float64Array.from(readFloats(tensor)));
        assertEquals(f32, Float64Array.from(values));
        assertEquals(f16, toHalves(values, "f16").values);
        assertEquals(bf16, toHalves(values, "bf16").values);
      });
    }),
    { numRuns: 30 },
  );
});

Deno.test("readFloats() and readHalves() name the number that is not finite, and where it is", () => {
  for (const dtype of ["F16", "BF16", "F32"] as const) {
    for (const value of [NaN, Infinity, -Infinity]) {
      withTensors({ w: flat(dtype, [1, 2, value]) }, (tensor) => {
        assertEquals(tensor?.name, "w");
        const message = `w must be finite, received ${value} at element 2`;
        assertThrows(() => tensor && readFloats(tensor), TypeError, message);
        if (dtype === "F32") return;
        assertThrows(() => tensor && readHalves(tensor), TypeError, message);
      });
    }
  }
});

Deno.test("readHalves() takes every number that is finite, the largest and the smallest, as its bits", () => {
  // All words of 16 bits but those whose exponent says NaN or infinity; an odd count ends in half a word.
  for (const [dtype, exponent] of [["F16", 0x7c00], ["BF16", 0x7f80]] as const) {
    const bits = Uint16Array.from({ length: 2 ** 16 }, (_, i) => i)
      .filter((word) => (word & exponent) !== exponent).subarray(1);
    const tensor = {
      ...{ name: "w", file: "f", dtype, shape: [bits.length], offset: 0, bytes: bits.length * 2 },
      read: (offset: number, target: Uint8Array) =>
        target.set(new Uint8Array(bits.buffer, bits.byteOffset + offset, target.length)),
    };
    assertEquals(bits.length % 2, 1);
    assertEquals(readHalves(tensor), bits);
  }
});

Deno.test("readFloats() refuses elements that are no floats", () => {
  withTensors({ w: flat("F32", [1]) }, (tensor) => {
    const integers = tensor && { ...tensor, dtype: "I32" };
    assertThrows(
      () => integers && readFloats(integers),
      TypeError,
      "must be F16, BF16 or F32, received I32",
    );
  });
});

Deno.test("sameValues() compares numbers, not bytes: types may differ, shapes may not", () => {
  const values = [1, -2.5, 0.25, 0];
  const data = {
    a: { dtype: "F16", shape: [2, 2], values },
    b: { dtype: "BF16", shape: [2, 2], values },
    c: { dtype: "F32", shape: [2, 2], values },
    reshaped: { dtype: "F16", shape: [4, 1], values },
    rounded: { dtype: "F32", shape: [2, 2], values: [1, -2.5, 0.25, 1e-9] },
  } as const;
  withTensors(data, (...tensors) => {
    const equal = (i: number) => {
      const [a, other] = [tensors[0], tensors[i]];
      return a && other ? [sameValues(a, other), sameValues(other, a)] : [];
    };
    assertEquals([1, 2].map(equal), [[true, true], [true, true]]);
    assertEquals([3, 4].map(equal), [[false, false], [false, false]]);
  });
});

Deno.test("sameValues() looks at every number of a tensor that is read in several parts", () => {
  const long = new Float32Array(2 ** 21 + 7).fill(0.5);
  const last = long.with(long.length - 1, 0.25);
  const middle = long.with(2 ** 20, 0.25);
  const data = {
    a: flat("F16", long),
    b: flat("BF16", long),
    c: flat("F16", last),
    d: flat("F16", middle),
  };
  withTensors(data, (a, ...others) => {
    assertEquals(others.map((other) => a && sameValues(a, other)), [true, false, false]);
  });
});
