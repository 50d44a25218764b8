import { assertEquals } from "@std/assert";
import { halfDtypeFor, halfWords } from "../../models/half_words.ts";
import { halfValues } from "../support/half.ts";
import { randomFloats, randomSource } from "../support/random.ts";

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

Deno.test("halfDtypeFor() takes, of small numbers, the 16 bits that lose less of them", () => {
  const lost = (values: Float32Array<ArrayBuffer>, dtype: "f16" | "bf16") => {
    const kept = halfValues(halfWords(values, dtype), dtype);
    const sum = (f: (i: number) => number) => values.keys().reduce((all, i) => all + f(i) ** 2, 0);
    return Math.sqrt(sum((i) => (values[i] ?? 0) - (kept[i] ?? 0)) / sum((i) => values[i] ?? 0));
  };
  const random = randomSource(4);
  for (const scale of [1e-9, 1e-7, 1e-6, 1e-5, 1e-4, 1e-2, 1]) {
    const values = randomFloats(random, 4096, scale);
    const chosen = halfDtypeFor([Float32Array.of(0.1), values]);
    assertEquals(chosen, lost(values, "f16") <= lost(values, "bf16") ? "f16" : "bf16", `${scale}`);
  }
  assertEquals(halfDtypeFor([Float32Array.of(0.1), new Float32Array(8)]), "f16", "B as it begins");
});
