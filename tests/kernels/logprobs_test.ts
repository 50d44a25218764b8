import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { logprobs, logprobsWorkgroups } from "../../kernels/logprobs/logprobs.ts";
import { readResult, RESULT_WORDS } from "../../kernels/sample/results.ts";
import { NONE } from "../../kernels/step_words.ts";
import { dispatch, downloadU32, upload } from "../support/gpu.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { type RowParameters, sampleStep } from "../support/sample_fixture.ts";
import { logSoftmax } from "../support/sampling_oracle.ts";

/** Runs logprobs after rows whose drawn tokens are `drawn`. */
async function run(
  logits: readonly Float32Array[],
  rows: readonly RowParameters[],
  drawn: readonly number[],
) {
  const vocab = logits[0]?.length ?? 0;
  const words = new Uint32Array(rows.length * RESULT_WORDS);
  drawn.forEach((token, r) => words.set([token, 0, 0, NONE], r * RESULT_WORDS));
  const results = await upload(words);
  await dispatch(
    logprobs,
    { VOCAB: vocab, WORKGROUP: 256 },
    {
      step: await upload(sampleStep(rows)),
      logits: await upload(new Float32Array(logits.flatMap((row) => [...row]))),
      results,
    },
    logprobsWorkgroups(rows.length),
  );
  const after = new Uint32Array(await downloadU32(results, words.length));
  return rows.map((_, r) => readResult(after, r));
}

/** Tokens by falling logit, lowest id first where they are equal. */
function ranking(logits: Float32Array): number[] {
  return [...logits.keys()].sort((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0) || a - b);
}

for (const vocab of [1, 13, 1025, 32_003]) {
  Deno.test(`logprobs agrees with the oracle on a vocabulary of ${vocab}`, async () => {
    const random = randomSource(vocab);
    const logits = [
      randomFloats(random, vocab, 9),
      randomFloats(random, vocab, 3).map(Math.round),
      new Float32Array(vocab).fill(4),
      randomFloats(random, vocab, 50),
    ];
    const tops = [20, 5, 20, 0];
    const target = vocab >> 1;
    const rows = tops.map((top, r): RowParameters => r === 1 ? { top, target } : { top });
    const drawn = [vocab - 1, NONE, 0, vocab >> 2];
    const results = await run(logits, rows, drawn);
    results.forEach((result, r) => {
      const row = logits[r] ?? new Float32Array();
      const expected = logSoftmax(row);
      const token = r === 1 ? target : drawn[r] ?? 0;
      assert(result.logprobs);
      assertAlmostEquals(result.logprobs.logprob, expected[token] ?? NaN, 1e-4);
      const count = Math.min(tops[r] ?? 0, vocab);
      assertEquals(result.logprobs.top.map((top) => top.token), ranking(row).slice(0, count));
      for (const top of result.logprobs.top) {
        assertAlmostEquals(top.logprob, expected[top.token] ?? NaN, 1e-4);
      }
      assertEquals(result.token, r === 1 ? null : token);
    });
  });
}

Deno.test("logprobs leaves rows that want none, and gives -Infinity to what cannot happen", async () => {
  const logits = Float32Array.from([1, -Infinity, 3, 2]);
  const [none, some] = await run([logits, logits], [{}, { top: 4 }], [2, 1]);
  assertEquals(none, { token: 2, logprobs: null });
  assertEquals(some?.logprobs?.logprob, -Infinity);
  assertEquals(some?.logprobs?.top.map((top) => top.token), [2, 3, 0, 1]);
  assertAlmostEquals(some?.logprobs?.top[0]?.logprob ?? NaN, logSoftmax(logits)[2] ?? NaN, 1e-5);
});
