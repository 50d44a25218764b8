import { assertEquals } from "@std/assert";
import { grid } from "../../kernels/grid.ts";
import { logitsAdapter, logitsAdapterWork } from "../../kernels/logits_adapter/logits_adapter.ts";
import { residualNorm } from "../../kernels/residual_norm/residual_norm.ts";
import { swiglu, swigluWork } from "../../kernels/swiglu/swiglu.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF16, downloadF32, upload } from "../support/gpu.ts";
import { type ModuleFixture, randomModule } from "../support/image_fixture.ts";
import {
  expandOracle,
  type LoraFixture,
  loraStep,
  placeAdapters,
  routeEach,
  type Routing,
  TEST_PAGE_BYTES,
} from "../support/lora_fixture.ts";
import { inPlanes, withPlanes } from "../support/planes.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { assignAdapters, WORKLOADS } from "../support/workloads.ts";

// The three kernels that complete a projection's output before they use it.
const TOLERANCE = 1e-5;
/** What projections read is rounded to f16. */
const ROUNDED = 2 ** -11;
const RANKS = [1, 8, 16, 33];
const TOKENS = 9;

const pages = (fixture: LoraFixture) => ({
  PAGE_VECS: TEST_PAGE_BYTES / 16,
  SLAB_PAGES: fixture.slabPages,
});
const pools = async (fixture: LoraFixture) => ({
  pool0: await upload(fixture.slabs[0]),
  pool1: await upload(fixture.slabs[1]),
});

/** Modules for slots 0..6, `make(m)` where adapted; every third adapter has DoRA gains, every fourth a bias. */
function adapterSet(
  random: () => number,
  count: number,
  shapes: ReadonlyMap<number, readonly [number, number]>,
): (ModuleFixture | null)[][] {
  return RANKS.map((rank, a) =>
    Array.from({ length: count }, (_, m) => {
      const shape = shapes.get(m);
      if (!shape || (a + m) % 5 === 4) return null;
      const dtype = a % 2 ? "bf16" : "f16";
      return randomModule(random, rank, ...shape, { gain: a % 3 === 1, bias: a % 3 === 2, dtype });
    })
  );
}

function completed(
  base: Float32Array,
  u: Float32Array,
  routing: Routing,
  adapters: readonly (readonly (ModuleFixture | null)[])[],
  row: number,
  um: number,
  modules: number,
  module: number,
): Float64Array {
  const routes = Math.max(0, ...routing.map((entry) => entry.length));
  const parts = (routing[row] ?? []).map(({ adapter, weight }, k) => {
    const from = ((row * routes + k) * modules + um) * 256;
    return { module: adapters[adapter]?.[module] ?? null, weight, u: u.subarray(from, from + 256) };
  });
  return expandOracle(base, parts);
}

/** Two adapters a token with weights of both signs: what composition fills in. */
const pairs: Routing = Array.from({ length: TOKENS }, (_, t) =>
  t % 3 === 0 ? [] : [
    { adapter: t % 2 ? 0 : 2, weight: 0.7 },
    { adapter: 3, weight: -0.4 },
  ]);
const routings: [string, Routing][] = WORKLOADS.map((
  workload,
) => [workload, routeEach(assignAdapters(workload, TOKENS, RANKS.length))]);
const plainPairs: [string, Routing][] = [...routings, ["composed", pairs]];

Deno.test("what no shrink item of a step is for, no adapter completes", async () => {
  const HIDDEN = 40;
  const random = randomSource(5);
  const adapters = adapterSet(random, 7, new Map([[3, [HIDDEN, 40]]]));
  const fixture = placeAdapters(random, adapters);
  const routing = routeEach(Array.from({ length: TOKENS }, (_, t) => t % RANKS.length));
  const y = randomFloats(random, TOKENS * HIDDEN);
  const h = await upload(new Float32Array(y.length));
  // Items for every module but o, number 3.
  const items = Array.from({ length: 7 }, (_, m) => m === 3 ? [] : [0, 0, 1, 16 * m]);
  await dispatch(
    residualNorm,
    { HIDDEN, EPS: 1e-5, MODULE: 3, WORKGROUP: 16, ...pages(fixture) },
    {
      step: await upload(loraStep(fixture, routing, 33, { shrinkItems: items })),
      y: await upload(y),
      u: await upload(randomFloats(random, TOKENS * 2 * 256)),
      ...await pools(fixture),
      gamma: await upload(new Float32Array(HIDDEN)),
      h,
      xn: await upload(new Float32Array(y.length)),
    },
    [TOKENS],
  );
  assertEquals(await downloadF32(h, y.length), y);
});

for (const [i, [workload, routing]] of plainPairs.entries()) {
  const planes = i % 2 ? 3 : 1;
  Deno.test(`residual_norm adds o_proj with its adapters and normalises, ${workload}, ${planes} planes`, async () => {
    // More columns than the workgroup's invocations keep in registers.
    const HIDDEN = 168;
    const random = randomSource(3);
    const adapters = adapterSet(random, 7, new Map([[3, [HIDDEN, 40]]]));
    const fixture = placeAdapters(random, adapters);
    const [y, h, gamma] = [TOKENS * HIDDEN, TOKENS * HIDDEN, HIDDEN].map((n) =>
      randomFloats(random, n)
    );
    const u = randomFloats(random, TOKENS * 2 * 256);
    if (!y || !h || !gamma) throw new Error("unreachable");
    const [hBuffer, xn] = [await upload(h), await upload(new Float32Array(h.length).fill(NaN))];
    await dispatch(
      residualNorm,
      { HIDDEN, EPS: 1e-5, MODULE: 3, WORKGROUP: 16, ...pages(fixture) },
      {
        step: await upload(withPlanes(loraStep(fixture, routing, 33), planes)),
        y: await upload(inPlanes(random, y, planes)),
        u: await upload(u),
        ...await pools(fixture),
        gamma: await upload(gamma),
        h: hBuffer,
        xn,
      },
      [TOKENS],
    );
    const sums: number[] = [];
    const normed: number[] = [];
    for (let t = 0; t < TOKENS; t++) {
      const base = y.subarray(t * HIDDEN, (t + 1) * HIDDEN);
      const added = completed(base, u, routing, adapters, t, 0, 1, 3);
      const sum = added.map((value, i) => value + (h[t * HIDDEN + i] ?? 0));
      const scale = 1 / Math.sqrt(sum.reduce((all, v) => all + v * v, 0) / HIDDEN + 1e-5);
      sums.push(...sum);
      normed.push(...sum.map((value, i) => value * scale * (gamma[i] ?? 0)));
    }
    assertClose(await downloadF32(hBuffer, h.length), sums, TOLERANCE, "h");
    assertClose(await downloadF16(xn, h.length), normed, ROUNDED, "xn");
  });

  Deno.test(`swiglu completes gate and up with their adapters, ${workload}, ${planes} planes`, async () => {
    const I = 72;
    const random = randomSource(4);
    const adapters = adapterSet(random, 7, new Map([[4, [I, 40]], [5, [I, 40]]]));
    const fixture = placeAdapters(random, adapters);
    const gateUp = randomFloats(random, TOKENS * 2 * I);
    const u = randomFloats(random, TOKENS * 2 * 2 * 256);
    const a = await upload(new Float32Array(TOKENS * I).fill(NaN));
    await dispatch(
      swiglu,
      { INTERMEDIATE: I, ...pages(fixture) },
      {
        step: await upload(withPlanes(loraStep(fixture, routing, 33), planes)),
        gate_up: await upload(inPlanes(random, gateUp, planes)),
        u: await upload(u),
        ...await pools(fixture),
        a,
      },
      grid(swigluWork(TOKENS, I)),
    );
    const expected: number[] = [];
    for (let t = 0; t < TOKENS; t++) {
      const half = (m: number) => {
        const base = gateUp.subarray((t * 2 + m) * I, (t * 2 + m + 1) * I);
        return completed(base, u, routing, adapters, t, m, 2, 4 + m);
      };
      const [gate, up] = [half(0), half(1)];
      expected.push(...gate.map((z, i) => z / (1 + Math.exp(-z)) * (up[i] ?? 0)));
    }
    assertClose(await downloadF16(a, expected.length), expected, ROUNDED, "a");
  });

  Deno.test(`logits_adapter completes the rows of lm_head adapters, ${workload}`, async () => {
    const VOCAB = 101;
    const random = randomSource(5);
    const adapters = adapterSet(random, 2, new Map([[1, [VOCAB, 40]]]));
    const fixture = placeAdapters(random, adapters);
    // Rows of logits come from the odd tokens, so that rows and tokens are different numbers.
    const logitTokens = [1, 3, 5, 7];
    const rowRouting = logitTokens.map((t) => routing[t] ?? []);
    const base = randomFloats(random, logitTokens.length * VOCAB);
    const u = randomFloats(random, logitTokens.length * 2 * 256);
    const logits = await upload(base);
    const step = loraStep(fixture, routing, 33, {
      head: true,
      logitTokens,
      logitRows: 4,
      samples: new Array(64).fill(0),
    });
    await dispatch(
      logitsAdapter,
      { VOCAB, ...pages(fixture) },
      { step: await upload(step), u: await upload(u), ...await pools(fixture), logits },
      grid(logitsAdapterWork(logitTokens.length, VOCAB)),
    );
    const routes = Math.max(0, ...routing.map((entry) => entry.length));
    // u rows are spaced by the step's routes a token, also where these four rows have fewer.
    const padded = rowRouting.map((entry) => [...entry]);
    const expected = padded.flatMap((_, r) => {
      const parts = (rowRouting[r] ?? []).map(({ adapter, weight }, k) => ({
        module: adapters[adapter]?.[1] ?? null,
        weight,
        u: u.subarray((r * routes + k) * 256, (r * routes + k + 1) * 256),
      }));
      return [...expandOracle(base.subarray(r * VOCAB, (r + 1) * VOCAB), parts)];
    });
    assertClose(await downloadF32(logits, base.length), expected, TOLERANCE, "logits");
  });
}
