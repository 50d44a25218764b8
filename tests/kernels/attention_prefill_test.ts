import { assert } from "@std/assert";
import { prefillVariant } from "../../actors/executor/prefill_variant.ts";
import {
  attentionPrefillWorkgroups,
  PREFILL_TILE,
} from "../../kernels/attention_prefill/attention_prefill.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF16, testCompiler, testDevice, upload } from "../support/gpu.ts";
import { type AttentionShape, kvFixture } from "../support/kv_fixture.ts";
import { attention } from "../support/oracle.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { stepWords } from "../support/step_fixture.ts";
import { tolerance } from "../support/tolerance.ts";

/** Two halves that are not numbers. */
const NAN_PAIR = 0x7e007e00;

interface Case extends AttentionShape {
  readonly window?: number;
  /** How far apart scores are; from about 8 on, sums are scaled in nearly every tile of keys. */
  readonly sharpness?: number;
  /** Of each sequence the positions [from, to) are computed; keys before `from` came in earlier chunks. */
  readonly chunks: readonly (readonly [from: number, to: number])[];
}

const CASES: readonly Case[] = [
  { heads: 1, kvHeads: 1, headDim: 8, chunks: [[0, 1]] },
  { heads: 4, kvHeads: 2, headDim: 32, chunks: [[0, 70], [33, 50], [16, 17]] },
  { heads: 10, kvHeads: 2, headDim: 72, chunks: [[5, 42]] },
  { heads: 7, kvHeads: 1, headDim: 128, chunks: [[100, 129], [0, 3]] },
  { heads: 2, kvHeads: 1, headDim: 256, chunks: [[0, 41]] },
  { heads: 4, kvHeads: 1, headDim: 64, chunks: [[0, 130], [70, 141]] },
  { heads: 8, kvHeads: 2, headDim: 128, window: 50, chunks: [[3, 140]] },
  // A block of two pages, with rows that straddle them.
  { heads: 9, kvHeads: 9, headDim: 120, chunks: [[30, 35]] },
  { heads: 16, kvHeads: 1, headDim: 160, chunks: [[20, 30]] },
  { heads: 4, kvHeads: 2, headDim: 32, window: 33, chunks: [[0, 100], [90, 130]] },
  { heads: 3, kvHeads: 3, headDim: 24, window: 1, chunks: [[0, 20]] },
  { heads: 6, kvHeads: 3, headDim: 80, sharpness: 16, chunks: [[0, 200], [150, 170]] },
  { heads: 4, kvHeads: 2, headDim: 64, window: 40, sharpness: 16, chunks: [[60, 200]] },
];

const { software } = await testDevice();
const compiler = await testCompiler();
const variants = (headDim: number) => {
  const best = prefillVariant(compiler, headDim);
  const plain = prefillVariant({ matrices: null, workgroupBytes: 0, lanes: 0 }, headDim);
  if (best.kernel === plain.kernel) return [plain];
  // Mesa takes minutes to compile what wide heads write out.
  return software && headDim > 80 ? [plain] : [plain, best];
};

for (const test of CASES) {
  for (const { kernel, header } of variants(test.headDim)) {
    const { heads, kvHeads, headDim, window = 0, sharpness = 1, chunks } = test;
    const spans = chunks.map(([from, to]) => `${from}-${to}`);
    Deno.test(`${kernel.name} agrees with the oracle: ${heads}/${kvHeads} heads of ${headDim}, positions ${spans}, window ${window}, sharpness ${sharpness}`, async () => {
      const random = randomSource(headDim + heads);
      const kv = kvFixture(random, test, chunks.map(([, to]) => to));
      // A row before all others that no tile names.
      const tokens = [0, 0, 0, 0];
      const tiles: number[] = [];
      const rows: { sequence: number; position: number }[] = [];
      chunks.forEach(([from, to], sequence) => {
        for (let position = from; position < to; position++) {
          if ((position - from) % PREFILL_TILE === 0) {
            tiles.push(rows.length + 1, Math.min(PREFILL_TILE, to - position));
          }
          tokens.push(0, position, sequence, 0);
          rows.push({ sequence, position });
        }
      });
      const row = heads * headDim;
      const q = randomFloats(random, (rows.length + 1) * row, 1.5 * sharpness);
      const out = await upload(new Uint32Array(Math.ceil(q.length / 2)).fill(NAN_PAIR));
      await dispatch(
        kernel,
        { HEADS: heads, KV_HEADS: kvHeads, WINDOW: window, ...kv.constants },
        {
          step: await upload(stepWords({
            tokenCount: rows.length + 1,
            tokens,
            blockTables: kv.blockTables,
            prefillTiles: tiles,
          })),
          q: await upload(q),
          pool0: await upload(kv.slabs[0]),
          pool1: await upload(kv.slabs[1]),
          out,
        },
        attentionPrefillWorkgroups(tiles.length / 2, heads, kvHeads),
        header,
      );
      const all = await downloadF16(out, q.length);
      assert(all.subarray(0, row).every(Number.isNaN), "the row that no tile names is left alone");
      rows.forEach(({ sequence, position }, i) => {
        const cut = [(i + 1) * row, (i + 2) * row] as const;
        const keysValues = kv.sequences[sequence];
        assert(keysValues);
        const expected = attention(q.subarray(...cut), keysValues, test, position, window);
        // The result is in f16, and on matrix units the weights are, too.
        const bound = sharpness * tolerance("f32", headDim + position + 1) + 2 ** -10;
        assertClose(all.subarray(...cut), expected, bound, `position ${position}`);
      });
    });
  }
}
