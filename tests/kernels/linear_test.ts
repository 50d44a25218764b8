import { assertEquals } from "@std/assert";
import { linearVariants } from "../../actors/executor/linear_variants.ts";
import { grid } from "../../kernels/grid.ts";
import { type LinearKernel, WEIGHT_DTYPES } from "../../kernels/linear.ts";
import { linearMatrix, linearMatrixHeader } from "../../kernels/linear_matrix/linear_matrix.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF32, testCompiler, testDevice, upload } from "../support/gpu.ts";
import { toHalves } from "../support/half.ts";
import { randomModule } from "../support/image_fixture.ts";
import {
  loraStep,
  placeAdapters,
  routeEach,
  routePairs,
  shrinkOracle,
  TEST_PAGE_BYTES,
} from "../support/lora_fixture.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { readStep } from "../support/read_step.ts";
import { toWeights } from "../support/weights.ts";
import { assignAdapters, WORKLOADS } from "../support/workloads.ts";

const OUTS = [72, 24, 21];
const OUT = 117;
const RANKS = [1, 4, 8, 16, 17, 64];
/** Sums in f32. */
const TOLERANCE = 1e-5;
/** Words behind the last output: nothing may be written there; a store of a whole matrix needs 256 words to bind. */
const BEHIND = 256;

const { software } = await testDevice();
/** Matrices of sums that a subgroup has; Mesa takes minutes to compile many. */
const sumsOf = (header: Readonly<Record<string, number>>): number => {
  const { TILE_ROWS = 0, TILE_OUTS = 0, ROW_GROUPS = 1, OUT_GROUPS = 1, MATRIX = 1 } = header;
  return TILE_ROWS * TILE_OUTS / (ROW_GROUPS * OUT_GROUPS * MATRIX ** 2);
};
/**
 * The ways of large tiles to shrink, with one group of lanes, with two, and with lanes that are in none, on tiles that
 * Mesa compiles in time; in the last two the invocations stage unlike numbers of vectors of x, and of W.
 */
const { matrices } = await testCompiler();
const LARGE = [
  [[16, 64, 128], [1, 4, 2]],
  [[32, 64, 64], [2, 8, 2]],
  [[32, 80, 64], [2, 10, 1]],
  [[48, 80, 64], [3, 2, 1]],
] as const;
const largeShrinks = (software && matrices ? LARGE : []).map(
  ([[TILE_ROWS, TILE_OUTS, SLICE], [ROW_GROUPS, OUT_GROUPS, K_GROUPS]], i) => {
    const tile = { TILE_ROWS, TILE_OUTS, SLICE, SPLIT: 1, AHEAD: i === 0 ? 1 : 2 };
    const tiling = { ...tile, ROW_GROUPS, OUT_GROUPS, K_GROUPS };
    const header: Readonly<Record<string, number>> = linearMatrixHeader(
      tiling,
      matrices ?? { size: 0, subgroup: 0 },
    );
    return {
      kernel: linearMatrix as LinearKernel,
      header: { ...header, RANKS: i === 0 ? 8 : 4, SHRINK_SPLIT: 1 } as typeof header,
      planes: 1,
      work: (rows: number, out: number, shrinkItems: number) =>
        Math.ceil(rows / TILE_ROWS) * Math.ceil(out / TILE_OUTS) + shrinkItems,
    };
  },
);
const seenVariants = new Set<string>();
for (
  const { kernel, header, planes, work } of [
    ...linearVariants(await testCompiler()),
    ...largeShrinks,
  ]
) {
  const variant = [kernel.name, ...Object.values(header)].join(" ");
  if (seenVariants.has(variant) || (software && sumsOf(header) > 16)) continue;
  seenVariants.add(variant);
  for (const workload of WORKLOADS) {
    // linear_rows with ROWS = 1 serves one row alone.
    for (const tokens of header.ROWS === 1 ? [1] : [1, 7, 17, 35, 131]) {
      if ([17, 131].includes(tokens) && workload !== "zipf") continue;
      // Few dtypes a size keep the suite quick; both of 16 bits meet every workload.
      const dtypes = tokens === 7
        ? ["bf16"] as const
        : workload === "zipf"
        ? ["f16", "int8"] as const
        : ["f16"] as const;
      for (const dtype of dtypes) {
        Deno.test(`${variant} computes W x and A x for ${tokens} ${workload} tokens in ${dtype}`, async () => {
          const IN = dtype === "int8" ? 144 : 136;
          const random = randomSource(tokens);
          const adapters = RANKS.map((rank, a) =>
            OUTS.map((out, m) =>
              // Some modules are not adapted by some adapters.
              (a + m) % 4 === 3
                ? null
                : randomModule(random, rank, out, IN, { dtype: dtype === "bf16" ? dtype : "f16" })
            )
          );
          const fixture = placeAdapters(random, adapters);
          const assigned = assignAdapters(workload, tokens, adapters.length);
          // Seven tokens mix two adapters each, others have one.
          const routes = tokens === 7 ? 2 : 1;
          const routing = routes === 1
            ? routeEach(assigned)
            : routePairs(assigned, adapters.length);
          const step = loraStep(fixture, routing, 64);
          const dispatched = { decodeItems: 0, decodeRows: 0, prefillTiles: 0 };
          const items = readStep(step, dispatched).shrink.slice(0, OUTS.length).flat().length;
          const xs = toHalves(randomFloats(random, tokens * IN), "f16");
          const x = Float32Array.from(xs.values);
          const w = toWeights(randomFloats(random, OUT * IN), OUT, dtype);
          const sums = planes * tokens * OUT;
          const y = await upload(new Float32Array(sums + BEHIND).fill(NaN));
          const u = await upload(new Float32Array(tokens * routes * 3 * 256).fill(NaN));
          await dispatch(
            kernel,
            {
              IN,
              OUT,
              DTYPE: WEIGHT_DTYPES[dtype],
              MODULES: 3,
              FIRST_MODULE: 0,
              HEAD_POOL: 0,
              PAGE_VECS: TEST_PAGE_BYTES / 16,
              SLAB_PAGES: fixture.slabPages,
            },
            {
              step: await upload(step),
              x: await upload(new Uint32Array(xs.bits.buffer)),
              w: await upload(w.words),
              pool0: await upload(fixture.slabs[0]),
              pool1: await upload(fixture.slabs[1]),
              y,
              u,
            },
            grid(work(tokens, OUT, items)),
            header,
          );

          const expected = new Float64Array(tokens * OUT);
          for (let t = 0; t < tokens; t++) {
            for (let n = 0; n < OUT; n++) {
              let sum = 0;
              for (let k = 0; k < IN; k++) {
                sum += (w.values[n * IN + k] ?? 0) * (x[t * IN + k] ?? 0);
              }
              expected[t * OUT + n] = sum;
            }
          }
          const seenY = await downloadF32(y, sums + BEHIND);
          const total = expected.map((_, i) => {
            let sum = 0;
            for (let at = i; at < sums; at += tokens * OUT) sum += seenY[at] ?? NaN;
            return sum;
          });
          assertClose(total, expected, TOLERANCE, "W x");
          assertEquals(seenY.subarray(sums), new Float32Array(BEHIND).fill(NaN));

          const down = await downloadF32(u, tokens * routes * 3 * 256);
          const seen: number[] = [];
          const meant: number[] = [];
          routing.forEach((mixed, t) => {
            for (const [k, { adapter, weight }] of mixed.entries()) {
              adapters[adapter]?.forEach((part, m) => {
                if (!part) return;
                const at = ((t * routes + k) * 3 + m) * 256;
                seen.push(...down.subarray(at, at + part.rank));
                meant.push(
                  ...shrinkOracle(part, weight, x.subarray(t * IN, (t + 1) * IN)),
                );
              });
            }
          });
          assertClose(seen, meant, TOLERANCE, "A x");
        });
      }
    }
  }
}
