import { assert, assertEquals } from "@std/assert";
import { randomTilings } from "../../bench/support/random_tilings.ts";
import { linearMatrixFits } from "../../kernels/linear_matrix/linear_matrix.ts";

const units = { size: 16, subgroup: 32 };
const limits = { workgroupBytes: 49152, lanes: 1024 };

Deno.test("tilings to try suit the card, are unlike each other and the same for the same seed", () => {
  for (const [rows, out] of [[16, 4096], [64, 28672], [388, 6144]] as const) {
    const size = { rows, out, count: 20, seed: 7 };
    const tilings = randomTilings(units, limits, size);
    assertEquals(tilings.length, 20);
    assertEquals(new Set(tilings.map((tiling) => JSON.stringify(tiling))).size, 20);
    assert(tilings.every((tiling) => linearMatrixFits(tiling, units, limits)));
    assertEquals(randomTilings(units, limits, size), tilings);
    const others = randomTilings(units, limits, { ...size, seed: 8 });
    assert(JSON.stringify(others) !== JSON.stringify(tilings));
  }
});

Deno.test("where no tiling is worth a try, none is tried", () => {
  assertEquals(randomTilings(units, limits, { rows: 16, out: 8, count: 20, seed: 7 }), []);
});
