import { doraGain, doraGainWork } from "../../kernels/dora_gain/dora_gain.ts";
import { WEIGHT_DTYPES } from "../../kernels/linear.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadU32, upload } from "../support/gpu.ts";
import { randomModule } from "../support/image_fixture.ts";
import { placeAdapters, TEST_PAGE_BYTES } from "../support/lora_fixture.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { toWeights } from "../support/weights.ts";

const OUT = 24;
const ROW0 = 8;
const FUSED = 40;

for (const dtype of ["f16", "bf16", "int8"] as const) {
  for (const rank of [1, 8, 40]) {
    Deno.test(`dora_gain turns magnitudes of rank ${rank} into gains, ${dtype} weights`, async () => {
      const IN = dtype === "int8" ? 144 : 136;
      const random = randomSource(rank);
      const module = randomModule(random, rank, OUT, IN, { gain: true });
      const fixture = placeAdapters(random, [[null, module]], { pages: 32 });
      const w = toWeights(randomFloats(random, FUSED * IN), FUSED, dtype);
      const pool0 = await upload(fixture.slabs[0]);
      const pool1 = await upload(fixture.slabs[1]);
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
          pool0,
          pool1,
        },
        [doraGainWork(OUT)],
      );
      const words = new Uint32Array(32 * (TEST_PAGE_BYTES / 4));
      words.set(await downloadU32(pool0, fixture.slabs[0].length));
      words.set(await downloadU32(pool1, fixture.slabs[1].length), fixture.slabs[0].length);
      const pages = fixture.images[0] ?? [];
      const first = (pages[0] ?? 0) * (TEST_PAGE_BYTES / 4);
      const byte = (words[first + 8 + 5] ?? 0) * 1024;
      const at = ((pages[Math.floor(byte / TEST_PAGE_BYTES)] ?? 0) * TEST_PAGE_BYTES +
        byte % TEST_PAGE_BYTES) / 4;
      const seen = new Float32Array(words.buffer).subarray(at, at + OUT);

      const expected = Float64Array.from({ length: OUT }, (_, o) => {
        let squares = 0;
        for (let i = 0; i < IN; i++) {
          let v = w.values[(ROW0 + o) * IN + i] ?? 0;
          for (let j = 0; j < rank; j++) {
            v += module.scale * (module.b[j * OUT + o] ?? 0) * (module.a[j * IN + i] ?? 0);
          }
          squares += v * v;
        }
        return (module.gain?.[o] ?? NaN) / Math.sqrt(squares);
      });
      assertClose(seen, expected, 1e-5, "g");
    });
  }
}
