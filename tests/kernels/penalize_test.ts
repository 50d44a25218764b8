import { assert } from "@std/assert";
import { IN_PROMPT, penalize, penalizeWorkgroups } from "../../kernels/penalize/penalize.ts";
import { assertClose } from "../support/close.ts";
import { dispatch, downloadF32, upload } from "../support/gpu.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import { DRAW, PENALTIES, type RowParameters, sampleStep } from "../support/sample_fixture.ts";
import { penalizedScore } from "../support/sampling_oracle.ts";
import { tolerance } from "../support/tolerance.ts";

const SLOTS = 7;

async function run(vocab: number, rows: readonly RowParameters[]) {
  const random = randomSource(vocab);
  const logits = randomFloats(random, rows.length * vocab, 6);
  const counts = Uint32Array.from({ length: SLOTS * vocab }, () => {
    const prompt = random() < 0.3 ? IN_PROMPT : 0;
    return (prompt + (random() < 0.3 ? Math.floor(random() * 5) : 0)) >>> 0;
  });
  const scores = await upload(new Float32Array(logits.length).fill(NaN));
  await dispatch(
    penalize,
    { VOCAB: vocab },
    {
      step: await upload(sampleStep(rows)),
      logits: await upload(logits),
      counts: await upload(counts),
      scores,
    },
    penalizeWorkgroups(rows.length, vocab),
  );
  return { logits, counts, scores: await downloadF32(scores, logits.length) };
}

const FLAGS = DRAW | PENALTIES;
const ROWS: readonly RowParameters[] = [
  { slot: 0 },
  { slot: 3, flags: FLAGS, repetition: 1.3 },
  { slot: 6, flags: FLAGS, frequency: 0.4 },
  { slot: 1, flags: FLAGS, presence: 1.5 },
  { slot: 0, flags: FLAGS, presence: -0.5, frequency: 0.25, repetition: 0.8 },
  { slot: 2, flags: DRAW, bias: [[0, 5]] },
  { slot: 4, flags: FLAGS, repetition: 2, frequency: 1, bias: [[3, -100], [0, 2.5], [2, 8]] },
];

for (const vocab of [5, 1024, 2051]) {
  Deno.test(`penalize agrees with the oracle on a vocabulary of ${vocab}`, async () => {
    const last: RowParameters = {
      slot: 5,
      flags: FLAGS,
      presence: 1,
      bias: [[vocab - 1, 3], [vocab >> 1, -3]],
    };
    const rows = [...ROWS, last];
    const { logits, counts, scores } = await run(vocab, rows);
    rows.forEach((row, r) => {
      const expected = Array.from({ length: vocab }, (_, v) => {
        const bias = row.bias?.find(([token]) => token === v)?.[1] ?? 0;
        const count = counts[(row.slot ?? 0) * vocab + v] ?? 0;
        const penalized = ((row.flags ?? 0) & PENALTIES) !== 0;
        return penalizedScore((logits[r * vocab + v] ?? NaN) + bias, {
          generated: count & ~IN_PROMPT,
          inPrompt: count >= IN_PROMPT,
        }, penalized ? row : {});
      });
      const actual = scores.subarray(r * vocab, (r + 1) * vocab);
      assertClose(actual, expected, tolerance("f32", 4), `row ${r}`);
    });
  });
}

Deno.test("penalize copies a row without penalties bit for bit", async () => {
  const { logits, scores } = await run(1500, [{}, { slot: 2 }]);
  assert(logits.every((logit, i) => Object.is(logit, scores[i])));
});
