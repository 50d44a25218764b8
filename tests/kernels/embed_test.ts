import { embed } from "../../kernels/embed/embed.ts";
import { FROM_SLOT } from "../../kernels/step_words.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF16, downloadF32, upload } from "../support/gpu.ts";
import { toHalves } from "../support/half.ts";
import { randomModule } from "../support/image_fixture.ts";
import { loraStep, placeAdapters, routeEach, TEST_PAGE_BYTES } from "../support/lora_fixture.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { assignAdapters, WORKLOADS } from "../support/workloads.ts";

const HIDDEN = 72;
const VOCAB = 40;

for (const workload of WORKLOADS) {
  for (const dtype of ["f16", "bf16"] as const) {
    Deno.test(`embed looks rows up with their adapters and normalises, ${workload}, ${dtype}`, async () => {
      const random = randomSource(7);
      const tokens = 8;
      // The last adapts lm_head alone; every other one has DoRA's gains.
      const adapters = [1, 12, 7, 32].map((rank, a) => [
        a === 3 ? null : randomModule(random, rank, HIDDEN, VOCAB, { gain: a % 2 === 1 }),
      ]);
      const fixture = placeAdapters(random, adapters, { embed: true });
      const routing = routeEach(assignAdapters(workload, tokens, adapters.length));
      const ids = Array.from({ length: tokens }, () => Math.floor(random() * VOCAB));
      const slots = [0, 0, 0, 0, 0, 0, 0, 0];
      // Every other token comes from a slot's last sample instead of the host.
      const sources = ids.map((id, t) => {
        if (t % 2 === 0) return id;
        slots[t] = id;
        return FROM_SLOT + t;
      });
      const step = loraStep(fixture, routing, 32, {
        head: true,
        tokens: sources.flatMap((source, t) => [source, t, 0, 0]),
      });
      const table = toHalves(randomFloats(random, VOCAB * HIDDEN), dtype);
      const gamma = randomFloats(random, HIDDEN);
      const h = await upload(new Float32Array(tokens * HIDDEN).fill(NaN));
      const xn = await upload(new Float32Array(tokens * HIDDEN).fill(NaN));
      await dispatch(
        embed,
        {
          HIDDEN,
          EPS: 1e-5,
          BF16: Number(dtype === "bf16"),
          WORKGROUP: 64,
          PAGE_VECS: TEST_PAGE_BYTES / 16,
          SLAB_PAGES: fixture.slabPages,
        },
        {
          step: await upload(step),
          table: await upload(new Uint32Array(table.bits.buffer)),
          last_token: await upload(Uint32Array.from(slots)),
          pool0: await upload(fixture.slabs[0]),
          pool1: await upload(fixture.slabs[1]),
          gamma: await upload(gamma),
          h,
          xn,
        },
        [tokens],
      );
      const rows: number[] = [];
      const normed: number[] = [];
      ids.forEach((id, t) => {
        const row = Array.from({ length: HIDDEN }, (_, i) => {
          let value = table.values[id * HIDDEN + i] ?? 0;
          for (const { adapter, weight } of routing[t] ?? []) {
            const module = adapters[adapter]?.[0];
            if (!module) continue;
            for (let j = 0; j < module.rank; j++) {
              value += weight * module.scale * (module.a[id * module.rank + j] ?? 0) *
                (module.b[j * HIDDEN + i] ?? 0);
            }
            value *= module.gain?.[i] ?? 1;
          }
          return value;
        });
        const scale = 1 / Math.sqrt(row.reduce((all, v) => all + v * v, 0) / HIDDEN + 1e-5);
        rows.push(...row);
        normed.push(...row.map((v, i) => v * scale * (gamma[i] ?? 0)));
      });
      assertClose(await downloadF32(h, rows.length), rows, 1e-5, "h");
      assertClose(await downloadF16(xn, rows.length), normed, 2 ** -11, "xn");
    });
  }
}
