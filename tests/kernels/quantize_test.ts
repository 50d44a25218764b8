import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { grid } from "../../kernels/grid.ts";
import { quantize, quantizeJob } from "../../kernels/quantize/quantize.ts";
import { dispatch, downloadU32, upload } from "../support/gpu.ts";
import { toHalves } from "../support/half.ts";

/** Quantises a matrix of 16 bits in two lots of rows; its int8 numbers and scales. */
async function quantised(numbers: readonly number[], input: number, dtype: "f16" | "bf16") {
  const out = numbers.length / input;
  const { bits, values } = toHalves(numbers, dtype);
  const target = await upload(new Uint32Array(numbers.length / 4 + out).fill(0xdeadbeef));
  const half = Math.ceil(out / 2);
  for (const [first, end] of [[0, half], [half, out]] as const) {
    if (first === end) continue;
    const staged = new Uint32Array(bits.slice(first * input, end * input).buffer);
    await dispatch(
      quantize,
      { WORKGROUP: 64 },
      {
        job: await upload(
          quantizeJob({ input, out, first, rows: end - first, bf16: dtype === "bf16" }),
        ),
        staged: await upload(staged),
        target_words: target,
      },
      grid(end - first),
    );
  }
  const words = await downloadU32(target, numbers.length / 4 + out);
  return {
    values,
    q: new Int8Array(words.buffer, 0, numbers.length),
    scales: new Float32Array(words.buffer, numbers.length, out),
  };
}

Deno.test("quantize leaves no weight further from its own than half a scale, the largest being 127 scales", async () => {
  const row = fc.tuple(
    fc.constantFrom(1e-40, 1e-6, 1e-3, 1, 300),
    fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 48, maxLength: 48 }),
  ).map(([size, values]) => values.map((value) => value * size));
  await fc.assert(
    fc.asyncProperty(
      fc.array(row, { minLength: 1, maxLength: 7 }),
      fc.constantFrom("f16" as const, "bf16" as const),
      async (rows, dtype) => {
        const { values, q, scales } = await quantised(rows.flat(), 48, dtype);
        for (const [n, scale] of scales.entries()) {
          const line = values.subarray(n * 48, (n + 1) * 48);
          const most = line.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
          // So small a row counts as zeros: what is below the normal numbers, a GPU may flush anyway.
          if (most <= 2 ** -100) {
            assertEquals(scale, 0);
            assert(q.subarray(n * 48, (n + 1) * 48).every((value) => value === 0));
            continue;
          }
          assert(Math.abs(scale * 127 - most) <= most * 1e-6, `${scale * 127} for ${most}`);
          line.forEach((value, k) => {
            const error = Math.abs((q[n * 48 + k] ?? NaN) * scale - value);
            assert(error <= scale * 0.5001, `${error} of ${scale}`);
          });
        }
      },
    ),
    { numRuns: 25 },
  );
});

Deno.test("quantize rounds half to even, and rows of zeros to zeros with the scale 0", async () => {
  const halves = [127, -127, 0.5, 1.5, -0.5, -2.5, 126.5, 3];
  const numbers = [...halves, ...halves, ...Array<number>(16).fill(0)];
  const { q, scales } = await quantised(numbers, 16, "f16");
  const rounded = [127, -127, 0, 2, 0, -2, 126, 3];
  assertEquals([...q], [...rounded, ...rounded, ...Array<number>(16).fill(0)]);
  assertEquals([...scales], [1, 0]);
});
