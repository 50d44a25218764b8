import {
  attentionDecode,
  attentionDecodeWorkgroups,
  partialWords,
} from "../../kernels/attention_decode/attention_decode.ts";
import {
  attentionMerge,
  attentionMergeWorkgroups,
} from "../../kernels/attention_merge/attention_merge.ts";
import { assert, assertEquals } from "@std/assert";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF16, downloadF32, upload } from "../support/gpu.ts";
import { type AttentionShape, kvFixture } from "../support/kv_fixture.ts";
import { attention, attentionHead } from "../support/oracle.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { ALONE } from "../../kernels/step_words.ts";
import { stepWords } from "../support/step_fixture.ts";
import { tolerance } from "../support/tolerance.ts";

interface Case extends AttentionShape {
  readonly window?: number;
  /** Keys a work item. */
  readonly split?: number;
  readonly lengths: readonly number[];
  /** Of the weights: the largest score is raised on the way. */
  readonly sharpness?: number;
}

/** One decode row at the end of each sequence, its keys cut into items of `split`; one of all keys says so. */
async function decode(test: Case, saying = true) {
  const { heads, headDim, kvHeads, window = 0, split = 64, sharpness = 1, lengths } = test;
  const random = randomSource(heads * 1000 + headDim);
  const kv = kvFixture(random, test, lengths);
  const q = randomFloats(random, lengths.length * heads * headDim, 1.5 * sharpness);
  const items: number[][] = [];
  const rows = lengths.flatMap((length, t) => {
    const first = items.length;
    if (saying && length <= split) {
      items.push([ALONE + t, 0, length, 0]);
      return [];
    }
    for (let key = 0; key < length; key += split) {
      items.push([t, key, Math.min(length, key + split), 0]);
    }
    return [[t, first, items.length - first, 0]];
  });
  const step = await upload(stepWords({
    tokenCount: lengths.length,
    tokens: lengths.flatMap((length, t) => [0, length - 1, t, 0]),
    blockTables: kv.blockTables,
    decodeItems: items.flat(),
    decodeRows: rows.flat(),
  }));
  const words = partialWords(items.length, heads, headDim);
  const partials = await upload(new Float32Array(words).fill(NaN));
  const out = await upload(new Float32Array(q.length).fill(NaN));
  await dispatch(
    attentionDecode,
    { HEADS: heads, KV_HEADS: kvHeads, HEAD_DIM: headDim, WINDOW: window, ...kv.constants },
    {
      step,
      q: await upload(q),
      pool0: await upload(kv.slabs[0]),
      pool1: await upload(kv.slabs[1]),
      partials,
      out,
    },
    attentionDecodeWorkgroups(items.length, heads, kvHeads),
  );
  if (rows.length > 0) {
    await dispatch(
      attentionMerge,
      { HEADS: heads, HEAD_DIM: headDim },
      { step, partials, out },
      attentionMergeWorkgroups(rows.length, heads),
    );
  }
  return {
    kv,
    q,
    items,
    partials: await downloadF32(partials, words),
    out: await downloadF16(out, q.length),
  };
}

const CASES: readonly Case[] = [
  { heads: 1, kvHeads: 1, headDim: 8, lengths: [1] },
  { heads: 4, kvHeads: 2, headDim: 32, lengths: [16, 17, 65, 200] },
  { heads: 32, kvHeads: 2, headDim: 64, lengths: [37] },
  { heads: 6, kvHeads: 2, headDim: 80, lengths: [130, 3] },
  { heads: 10, kvHeads: 2, headDim: 72, lengths: [99], split: 33 },
  { heads: 7, kvHeads: 1, headDim: 128, lengths: [300], split: 100 },
  { heads: 16, kvHeads: 1, headDim: 256, lengths: [70] },
  // More items than the merge has slices, of one key each.
  { heads: 4, kvHeads: 1, headDim: 128, lengths: [90], split: 1 },
  { heads: 2, kvHeads: 2, headDim: 16, lengths: [200, 6], split: 1 },
  // A block of two pages, with rows that straddle them.
  { heads: 18, kvHeads: 9, headDim: 120, lengths: [40] },
  { heads: 4, kvHeads: 2, headDim: 32, lengths: [150, 40, 33], window: 33, split: 48 },
  { heads: 3, kvHeads: 3, headDim: 24, lengths: [64, 20], window: 1 },
  // Several turns of all keys that a workgroup has at once, the last one begun, full, and of one key.
  { heads: 8, kvHeads: 2, headDim: 128, lengths: [700, 512, 257, 100], split: 1000 },
  { heads: 24, kvHeads: 2, headDim: 64, lengths: [150, 5], split: 70, window: 130 },
  { heads: 2, kvHeads: 1, headDim: 192, lengths: [450], split: 1000, window: 420 },
  // Scores far apart, so that sums must be scaled on the way.
  { heads: 8, kvHeads: 2, headDim: 64, lengths: [300, 120], split: 200, sharpness: 16 },
];

for (const test of CASES) {
  const { heads, kvHeads, headDim, lengths, window = 0, split = 64, sharpness = 1 } = test;
  const name = `${heads}/${kvHeads} heads of ${headDim}, lengths ${lengths}, window ${window}, ` +
    `split ${split}, sharpness ${sharpness}`;
  Deno.test(`attention_decode and attention_merge agree with the oracle: ${name}`, async () => {
    const { kv, q, out } = await decode(test);
    const row = heads * headDim;
    lengths.forEach((length, t) => {
      const sequence = kv.sequences[t];
      assert(sequence);
      const [from, end] = [t * row, (t + 1) * row];
      const expected = attention(q.subarray(from, end), sequence, test, length - 1, window);
      const bound = sharpness * tolerance("f32", headDim + length) + 2 ** -11;
      assertClose(out.subarray(from, end), expected, bound, `token ${t}`);
    });
  });
}

Deno.test("an item that is alone leaves, bit for bit, what merging it would", async () => {
  // Beside one that is not: where both lie in one step.
  const test = { heads: 7, kvHeads: 1, headDim: 128, lengths: [90, 64, 1, 63], split: 64 };
  const [alone, merged] = [await decode(test), await decode(test, false)];
  assertEquals(alone.items.map(([token = 0]) => token >= ALONE), [false, false, true, true, true]);
  assert(alone.out.every(Number.isFinite));
  assertEquals(alone.out, merged.out);
});

Deno.test("attention_decode leaves o and l of each item relative to m, and nothing where the window hides it", async () => {
  const test = { heads: 6, kvHeads: 2, headDim: 40, lengths: [100], window: 40, split: 30 };
  const { kv, q, items, partials } = await decode(test);
  const sequence = kv.sequences[0];
  assert(sequence);
  items.forEach(([, first = 0, end = 0], i) => {
    for (let head = 0; head < test.heads; head++) {
      const at = (i * test.heads + head) * (test.headDim + 4);
      const o = partials.subarray(at, at + test.headDim);
      const [m = NaN, l = NaN] = partials.subarray(at + test.headDim, at + test.headDim + 2);
      if (end <= 60) {
        assert(m <= -1e38);
        assertEquals(l, 0);
        assert(o.every((value) => value === 0));
        continue;
      }
      const row = q.subarray(head * test.headDim, (head + 1) * test.headDim);
      const oracle = attentionHead(row, sequence, test, head, Math.max(first, 60), end);
      const by = Math.exp(oracle.m - m);
      assert(by > 0.9 && by < Math.exp(8.1), `m is ${m}, the largest score ${oracle.m}`);
      assertClose([l], [oracle.l * by], tolerance("f32", 64), "l");
      const scaled = oracle.o.map((value) => value * oracle.l * by);
      assertClose(o, scaled, tolerance("f32", 128), "o");
    }
  });
});
