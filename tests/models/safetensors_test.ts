import { assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { SafetensorsFile } from "../../models/safetensors.ts";
import { inDirectory, writeRaw, writeSafetensors } from "../support/write_safetensors.ts";

Deno.test("SafetensorsFile.readInto() reads any range of any tensor", () => {
  const sizes = fc.array(fc.nat({ max: 40 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(sizes, fc.nat(), fc.nat(), (counts, a, b) =>
      inDirectory((directory) => {
        const path = `${directory}/x.safetensors`;
        const values = counts.map((count, t) =>
          Float32Array.from({ length: count }, (_, i) => t + i)
        );
        writeSafetensors(
          path,
          Object.fromEntries(
            values.map((v, t) => [`t${t}`, { dtype: "F32", shape: [v.length], values: v }]),
          ),
        );
        using file = SafetensorsFile.open(path);
        values.forEach((value, t) => {
          const bytes = new Uint8Array(value.buffer);
          const start = a % (bytes.length + 1);
          const target = new Uint8Array(b % (bytes.length - start + 1));
          file.readInto(`t${t}`, start, target);
          assertEquals(target, bytes.slice(start, start + target.length));
        });
      })),
    { numRuns: 30 },
  );
});

Deno.test("SafetensorsFile.readInto() stays inside the tensor", () =>
  inDirectory((directory) => {
    const path = `${directory}/x.safetensors`;
    writeSafetensors(path, {
      a: { dtype: "F16", shape: [2, 2], values: [1, 2, 3, 4] },
      b: { dtype: "F16", shape: [1], values: [5] },
    });
    using file = SafetensorsFile.open(path);
    assertEquals(file.find("a")?.shape, [2, 2]);
    assertEquals(file.find("c"), null);
    assertThrows(() => file.readInto("a", 4, new Uint8Array(5)), RangeError, "received range 4..9");
    assertThrows(() => file.readInto("c", 0, new Uint8Array(1)), RangeError, "tensor c of");
  }));

const entry = (dtype: string, shape: unknown, data_offsets: unknown) => ({
  w: { dtype, shape, data_offsets },
});
const DAMAGED: readonly (readonly [name: string, header: unknown, ...words: string[]])[] = [
  ["no JSON", "{", "not JSON"],
  ["no object", "[]", "must be an object", "received []"],
  ["no entry", { w: 3 }, "w"],
  ["no shape", entry("F32", null, [0, 8]), "shape"],
  ["a negative offset", entry("F32", [2], [-8, 0]), "data_offsets"],
  ["a fractional shape", entry("F32", [0.5], [0, 2]), "shape"],
  ["bytes past the end", entry("F32", [4], [0, 16]), "w", "truncated", "received 0..16"],
  ["an end before its start", entry("F32", [0], [8, 0]), "w", "received 8..0"],
  ["too few bytes for its shape", entry("F32", [2], [0, 4]), "w", "takes 8 bytes", "received 4"],
  ["too many bytes for its shape", entry("F16", [2], [0, 8]), "w", "takes 4 bytes", "received 8"],
  ["a hole before its first tensor", entry("F32", [1], [4, 8]), "w", "at 0, received 4"],
  ["bytes after its last tensor", entry("F32", [1], [0, 4]), "must end with the file, received 4"],
  [
    "tensors that overlap",
    { ...entry("F32", [2], [0, 8]), v: { dtype: "F16", shape: [2], data_offsets: [4, 8] } },
    "v: its bytes must begin where those before it end, at 8, received 4",
  ],
  [
    "two names for the same bytes",
    { ...entry("F32", [2], [0, 8]), v: { dtype: "F32", shape: [2], data_offsets: [0, 8] } },
    "at 8, received 0",
  ],
];
for (const [name, header, ...words] of DAMAGED) {
  Deno.test(`SafetensorsFile.open() refuses a header with ${name}`, () =>
    inDirectory((directory) => {
      const path = `${directory}/x.safetensors`;
      writeRaw(path, header, new Uint8Array(8));
      for (const word of [path, ...words]) {
        assertThrows(() => SafetensorsFile.open(path), TypeError, word);
      }
    }));
}

Deno.test("SafetensorsFile.open() refuses a header longer than the file, and no file at all", () =>
  inDirectory((directory) => {
    const path = `${directory}/x.safetensors`;
    assertThrows(() => SafetensorsFile.open(path), TypeError, "no such file");
    Deno.writeFileSync(path, new Uint8Array(7));
    assertThrows(() => SafetensorsFile.open(path), TypeError, "too short");
    Deno.writeFileSync(path, new Uint8Array(16).fill(0xff));
    assertThrows(() => SafetensorsFile.open(path), TypeError, "received a length of");
  }));
