import { assertEquals } from "@std/assert";
import { grid } from "../../kernels/grid.ts";
import { ropeKv, ropeKvWork } from "../../kernels/rope_kv/rope_kv.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF32, downloadU32, upload } from "../support/gpu.ts";
import { randomModule } from "../support/image_fixture.ts";
import {
  expandOracle,
  loraStep,
  placeAdapters,
  routeEach,
  TEST_PAGE_BYTES,
} from "../support/lora_fixture.ts";
import { inPlanes, withPlanes } from "../support/planes.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { assignAdapters, WORKLOADS } from "../support/workloads.ts";

const POSITIONS = 64;
const EPS = 1e-6;
const PAGE_WORDS = TEST_PAGE_BYTES / 4;

const shapes = [
  { heads: 6, kvHeads: 2, headDim: 32, bias: true, norm: false },
  { heads: 4, kvHeads: 4, headDim: 16, bias: false, norm: true },
  // 5 invocations a head leave 4 of 64 idle; a block of 5,120 bytes takes two pages.
  { heads: 3, kvHeads: 1, headDim: 80, bias: true, norm: true },
];

for (const { heads, kvHeads, headDim, bias: hasBias, norm } of shapes) {
  for (const workload of WORKLOADS) {
    Deno.test(`rope_kv turns q and writes K and V, ${heads}/${kvHeads} heads of ${headDim}, ${workload}`, async () => {
      const random = randomSource(headDim);
      const tokens = 5;
      const width = (heads + 2 * kvHeads) * headDim;
      const outs = [heads * headDim, kvHeads * headDim, kvHeads * headDim];
      const adapters = [1, 9, 16].map((rank, a) =>
        outs.map((out, m) =>
          (a + m) % 4 === 3
            ? null
            : randomModule(random, rank, out, 24, { gain: a === 1, bias: a === 2 })
        )
      );
      const fixture = placeAdapters(random, adapters, { pages: 64 });
      const routing = routeEach(assignAdapters(workload, tokens, adapters.length));
      const blockBytes = 16 * 2 * kvHeads * headDim * 2;
      const pagesPerBlock = Math.ceil(blockBytes / TEST_PAGE_BYTES);
      // Two sequences; their pages are among those no adapter took.
      const taken = new Set(fixture.images.flat());
      const free = Array.from({ length: 64 }, (_, page) => page).filter((page) => !taken.has(page));
      const tables = [free.slice(0, 8), free.slice(-8)];
      const positions = [0, 1, 2, 15, 16];
      const owner = [0, 0, 0, 1, 1];
      const step = loraStep(fixture, routing, 16, {
        tokens: positions.flatMap((position, t) => [0, position, owner[t] ?? 0, 0]),
        blockTables: tables,
      });
      const planes = hasBias ? 2 : 1;
      const qkv = randomFloats(random, tokens * width);
      const u = randomFloats(random, tokens * 3 * 256);
      const bias = randomFloats(random, width);
      const norms = randomFloats(random, 2 * headDim);
      const rope = randomFloats(random, POSITIONS * headDim);
      const q = await upload(new Float32Array(tokens * heads * headDim).fill(NaN));
      const pool0 = await upload(fixture.slabs[0]);
      const pool1 = await upload(fixture.slabs[1]);
      await dispatch(
        ropeKv,
        {
          HEADS: heads,
          KV_HEADS: kvHeads,
          HEAD_DIM: headDim,
          QKV_BIAS: Number(hasBias),
          QK_NORM: Number(norm),
          EPS,
          PAGES_PER_BLOCK: pagesPerBlock,
          PAGE_VECS: TEST_PAGE_BYTES / 16,
          SLAB_PAGES: fixture.slabPages,
        },
        {
          step: await upload(withPlanes(step, planes)),
          qkv: await upload(inPlanes(random, qkv, planes)),
          u: await upload(u),
          bias: await upload(bias),
          norms: await upload(norms),
          rope: await upload(rope),
          pool0,
          pool1,
          q,
        },
        grid(ropeKvWork(tokens, heads, kvHeads, headDim)),
      );

      const words = new Uint32Array(64 * PAGE_WORDS);
      words.set(await downloadU32(pool0, fixture.slabs[0].length));
      words.set(await downloadU32(pool1, fixture.slabs[1].length), fixture.slabs[0].length);
      const halves = new Float16Array(words.buffer);
      const [seenKv, expectedKv, expectedQ]: number[][] = [[], [], []];
      for (let t = 0; t < tokens; t++) {
        const parts = outs.map((out, m) => {
          const start = t * width + outs.slice(0, m).reduce((a, b) => a + b, 0);
          const module = (routing[t] ?? []).map(({ adapter, weight }) => ({
            module: adapters[adapter]?.[m] ?? null,
            weight,
            u: u.subarray((t * 3 + m) * 256, (t * 3 + m + 1) * 256),
          }));
          return expandOracle(qkv.subarray(start, start + out), module);
        });
        const row = parts.flatMap((part) => [...part]).map((v, i) =>
          v + (hasBias ? bias[i] ?? 0 : 0)
        );
        const position = positions[t] ?? 0;
        for (let head = 0; head < heads + 2 * kvHeads; head++) {
          let x = row.slice(head * headDim, (head + 1) * headDim);
          if (head < heads + kvHeads) {
            if (norm) {
              const scale = 1 / Math.sqrt(x.reduce((all, v) => all + v * v, 0) / headDim + EPS);
              const gamma = head < heads ? 0 : headDim;
              x = x.map((v, d) => v * scale * (norms[gamma + d] ?? 0));
            }
            const half = headDim / 2;
            x = x.map((v, d) => {
              const at = (position * half + (d % half)) * 2;
              const [cos, sin] = [rope[at] ?? 0, rope[at + 1] ?? 0];
              return d < half
                ? v * cos - (x[d + half] ?? 0) * sin
                : v * cos + (x[d - half] ?? 0) * sin;
            });
          }
          if (head < heads) expectedQ?.push(...x);
          else {
            const table = tables[owner[t] ?? 0] ?? [];
            const at = ((head - heads) * 16 + position % 16) * headDim;
            for (let d = 0; d < headDim; d++) {
              const byte = (at + d) * 2;
              const page = table[
                Math.floor(position / 16) * pagesPerBlock + Math.floor(byte / TEST_PAGE_BYTES)
              ] ?? 0;
              seenKv?.push(halves[(page * TEST_PAGE_BYTES + byte % TEST_PAGE_BYTES) / 2] ?? NaN);
            }
            expectedKv?.push(...x);
          }
        }
      }
      assertClose(await downloadF32(q, tokens * heads * headDim), expectedQ ?? [], 1e-5, "q");
      // K and V are kept in f16.
      assertClose(seenKv ?? [], expectedKv ?? [], 5e-4, "K and V");
    });
  }
}

Deno.test("rope_kv keeps K and V finite where f16 does not reach", async () => {
  const random = randomSource(1);
  const fixture = placeAdapters(random, [], { pages: 2 });
  const step = loraStep(fixture, [[]], 16, { tokens: [0, 0, 0, 0], blockTables: [[1]] });
  const qkv = new Float32Array(3 * 16);
  qkv[16] = 7e4; // of K
  qkv[32 + 5] = -3e38; // of V
  const pool1 = await upload(fixture.slabs[1]);
  await dispatch(
    ropeKv,
    {
      ...{ HEADS: 1, KV_HEADS: 1, HEAD_DIM: 16, QKV_BIAS: 0, QK_NORM: 0, EPS, PAGES_PER_BLOCK: 1 },
      ...{ PAGE_VECS: TEST_PAGE_BYTES / 16, SLAB_PAGES: fixture.slabPages },
    },
    {
      step: await upload(step),
      qkv: await upload(qkv),
      u: await upload(new Float32Array(3 * 256)),
      bias: await upload(new Float32Array(48)),
      norms: await upload(new Float32Array(32)),
      rope: await upload(Float32Array.from({ length: 16 }, (_, i) => 1 - i % 2)), // cos 1, sin 0
      pool0: await upload(fixture.slabs[0]),
      pool1,
      q: await upload(new Float32Array(16)),
    },
    grid(ropeKvWork(1, 1, 1, 16)),
  );
  const words = new Uint32Array(await downloadU32(pool1, fixture.slabs[1].length));
  const halves = new Float16Array(words.buffer);
  assertEquals([halves[0], halves[16 * 16 + 5]], [65504, -65504]);
});
