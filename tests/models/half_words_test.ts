import { assertEquals } from "@std/assert";
import { halfDtypeFor, halfWords } from "../../models/half_words.ts";
import { halfValues } from "../support/half.ts";

Deno.test("halfWords() rounds to nearest, and half-way to even", () => {
  for (const [dtype, ulp] of [["f16", 2 ** -10], ["bf16", 2 ** -7]] as const) {
    const given = [1 + ulp * 0.5, 1 + ulp * 1.5, -1 - ulp * 0.51, 1 + ulp * 1.49, -0, 1.5];
    const expected = [1, 1 + ulp * 2, -1 - ulp, 1 + ulp, -0, 1.5];
    assertEquals([...halfValues(halfWords(Float32Array.from(given), dtype), dtype)], expected);
  }
});

Deno.test("halfDtypeFor() prefers what holds all numbers exactly, then range, then nothing", () => {
  const of = (...numbers: number[]) =>
    halfDtypeFor([Float32Array.of(1), Float32Array.from(numbers)]);
  assertEquals([65504, 2 ** -24, -0].map((n) => of(n)), ["f16", "f16", "f16"]);
  assertEquals([65536, 3 * 2 ** -40].map((n) => of(n)), ["bf16", "bf16"]);
  assertEquals([of(0.1), of(0.1, 2 ** -40), of(0.1, 1e6)], ["f16", "f16", "bf16"]);
  assertEquals(of(3.4e38), null);
});
