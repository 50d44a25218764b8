import { doraGain, doraGainWork } from "../../kernels/dora_gain/dora_gain.ts";
import { doraGainEmbed, doraGainEmbedWork } from "../../kernels/dora_gain_embed/dora_gain_embed.ts";
import { grid } from "../../kernels/grid.ts";
import { WEIGHT_DTYPES } from "../../kernels/linear.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadU32, upload } from "../support/gpu.ts";
import { type ModuleFixture, randomModule } from "../support/image_fixture.ts";
import { type LoraFixture, placeAdapters, TEST_PAGE_BYTES } from "../support/lora_fixture.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { toWeights } from "../support/weights.ts";

const TOLERANCE = 1e-5;
const PAGE_WORDS = TEST_PAGE_BYTES / 4;

/** What is where the first adapter's header says that the gains of its module `index` are. */
async function gainsOf(
  { slabs, images: [pages = []] }: LoraFixture,
  pools: readonly GPUBuffer[],
  index: number,
  out: number,
): Promise<Float32Array> {
  const words = new Uint32Array(slabs[0].length + slabs[1].length);
  for (const [i, pool] of pools.entries()) {
    words.set(await downloadU32(pool, slabs[i]?.length ?? 0), i * slabs[0].length);
  }
  const first = (pages[0] ?? 0) * PAGE_WORDS;
  const start = (words[first + index * 8 + 5] ?? 0) * 256;
  return Float32Array.from({ length: out }, (_, o) => {
    const page = pages[Math.floor((start + o) / PAGE_WORDS)] ?? 0;
    const at = page * PAGE_WORDS + (start + o) % PAGE_WORDS;
    return new Float32Array(words.buffer, at * 4, 1)[0] ?? NaN;
  });
}

/** m / ||W + s B A|| of each output, from W and A as `weight` and `a` find them. */
function gainOracle(
  module: ModuleFixture,
  weight: (o: number, i: number) => number | undefined,
  a: (j: number, i: number) => number | undefined,
): Float64Array {
  return Float64Array.from({ length: module.out }, (_, o) => {
    let squares = 0;
    for (let i = 0; i < module.input; i++) {
      let v = weight(o, i) ?? NaN;
      for (let j = 0; j < module.rank; j++) {
        v += module.scale * (module.b[j * module.out + o] ?? NaN) * (a(j, i) ?? NaN);
      }
      squares += v * v;
    }
    return (module.gain?.[o] ?? NaN) / Math.sqrt(squares);
  });
}

interface Case {
  readonly rank: number;
  readonly dtype: "f16" | "bf16" | "int8";
  readonly IN: number;
  readonly OUT: number;
  readonly ROW0: number;
  readonly FUSED: number;
  readonly pages: number;
}

/** Gains of a module that is the second in its image, as q's neighbour and lm_head are. */
async function checkRows({ rank, dtype, IN, OUT, ROW0, FUSED, pages }: Case): Promise<void> {
  const random = randomSource(rank);
  const module = randomModule(random, rank, OUT, IN, { gain: true });
  const fixture = placeAdapters(random, [[null, module]], { pages });
  const w = toWeights(randomFloats(random, FUSED * IN), FUSED, dtype);
  const pools = [await upload(fixture.slabs[0]), await upload(fixture.slabs[1])] as const;
  await dispatch(
    doraGain,
    {
      IN,
      OUT,
      ROW0,
      FUSED,
      MODULE: 1,
      DTYPE: WEIGHT_DTYPES[dtype],
      WORKGROUP: 64,
      PAGE_VECS: TEST_PAGE_BYTES / 16,
      SLAB_PAGES: fixture.slabPages,
    },
    {
      job: await upload(Uint32Array.of(fixture.images[0]?.[0] ?? 0, 0, 0, 0)),
      w: await upload(w.words),
      pool0: pools[0],
      pool1: pools[1],
    },
    grid(doraGainWork(OUT)),
  );
  const expected = gainOracle(
    module,
    (o, i) => w.values[(ROW0 + o) * IN + i],
    (j, i) => module.a[j * IN + i],
  );
  assertClose(await gainsOf(fixture, pools, 1, OUT), expected, TOLERANCE, "g");
}

for (const dtype of ["f16", "bf16", "int8"] as const) {
  const IN = dtype === "int8" ? 144 : 136;
  for (const rank of [1, 8, 40]) {
    Deno.test(`dora_gain turns magnitudes of rank ${rank} into gains, ${dtype} weights`, async () => {
      await checkRows({ rank, dtype, IN, OUT: 24, ROW0: 8, FUSED: 40, pages: 32 });
    });

    Deno.test(`dora_gain takes a number of outputs that is no multiple of 8, rank ${rank}, ${dtype} weights`, async () => {
      await checkRows({ rank, dtype, IN, OUT: 101, ROW0: 0, FUSED: 101, pages: 48 });
    });
  }
}

Deno.test("dora_gain takes more outputs than one dimension of a dispatch", async () => {
  const OUT = 4 * 32768 + 5;
  await checkRows({ rank: 1, dtype: "f16", IN: 8, OUT, ROW0: 0, FUSED: OUT, pages: 256 });
});

for (const dtype of ["f16", "bf16"] as const) {
  for (const [rank, VOCAB] of [[1, 24], [6, 101], [40, 203], [256, 67]] as const) {
    Deno.test(`dora_gain_embed turns magnitudes of rank ${rank} into gains of columns, ${VOCAB} tokens in ${dtype}`, async () => {
      const HIDDEN = 72;
      const random = randomSource(rank);
      const options = { gain: true, dtype: dtype === "f16" ? "bf16" : "f16" } as const;
      const module = randomModule(random, rank, HIDDEN, VOCAB, options);
      const fixture = placeAdapters(random, [[module, null]], { pages: 48, embed: true });
      const table = toWeights(randomFloats(random, VOCAB * HIDDEN), VOCAB, dtype);
      const pools = [await upload(fixture.slabs[0]), await upload(fixture.slabs[1])] as const;
      await dispatch(
        doraGainEmbed,
        {
          HIDDEN,
          VOCAB,
          BF16: Number(dtype === "bf16"),
          WORKGROUP: 64,
          PAGE_VECS: TEST_PAGE_BYTES / 16,
          SLAB_PAGES: fixture.slabPages,
        },
        {
          job: await upload(Uint32Array.of(fixture.images[0]?.[0] ?? 0, 0, 0, 0)),
          w: await upload(table.words),
          pool0: pools[0],
          pool1: pools[1],
        },
        [doraGainEmbedWork(HIDDEN)],
      );
      const expected = gainOracle(
        module,
        (d, t) => table.values[t * HIDDEN + d],
        (j, t) => module.a[t * rank + j],
      );
      assertClose(await gainsOf(fixture, pools, 0, HIDDEN), expected, TOLERANCE, "g");
    });
  }
}
