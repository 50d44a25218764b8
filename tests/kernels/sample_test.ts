import { assert, assertEquals } from "@std/assert";
import { NONE } from "../../kernels/step_words.ts";
import { readResult } from "../../kernels/sample/results.ts";
import { randomFloats, randomSource } from "../support/random.ts";
import {
  DRAW,
  PENALTIES,
  repeated,
  type RowParameters,
  runSample,
} from "../support/sample_fixture.ts";
import { argmax, distribution, fits, type Shaping } from "../support/sampling_oracle.ts";

const DRAWS = 500;

/** How often each token was drawn from one row of scores, at DRAWS positions. */
async function histogram(scores: ArrayLike<number>, shaping: Shaping): Promise<number[]> {
  const rows = Array.from({ length: DRAWS }, (_, position) => ({ ...shaping, position }));
  const { tokens } = await runSample(repeated(scores, DRAWS), rows, { workgroup: 64 });
  const counts = new Array<number>(scores.length).fill(0);
  for (const token of tokens) counts[token] = (counts[token] ?? 0) + 1;
  return counts;
}

for (const vocab of [1, 37, 200_000]) {
  Deno.test(`sample takes the lowest of the largest scores at temperature 0, vocab ${vocab}`, async () => {
    const random = randomSource(vocab);
    const tied = randomFloats(random, vocab, 8).map(Math.round);
    const rows = [
      randomFloats(random, vocab, 20),
      tied,
      new Float32Array(vocab).fill(-3),
      new Float32Array(vocab).fill(-Infinity),
      tied.map((score, v) => v % 3 === 0 ? -Infinity : score),
      tied.map((score) => score * 4e37),
      tied.map((score, v) => v === 0 ? NaN : -Math.abs(score)),
    ];
    const all = new Float32Array(rows.flatMap((row) => [...row]));
    const { tokens } = await runSample(all, rows.map(() => ({})));
    assertEquals(
      tokens,
      rows.map((row, r) => {
        if (row.every((score) => !(score > -Infinity))) return NONE;
        return r === 6 ? argmax(row.subarray(1)) + 1 : argmax(row);
      }),
    );
  });
}

const uneven = Float32Array.from({ length: 40 }, (_, v) => ((v * 17) % 40) / 6);
const ties = Float32Array.from({ length: 40 }, (_, v) => ((v * 17) % 40) >> 3);
const holes = uneven.map((score, v) => v % 4 === 1 ? -Infinity : score);
const SHAPINGS: Record<string, { scores: Float32Array; shaping: Shaping }> = {
  "temperature 1": { scores: uneven, shaping: { temperature: 1 } },
  "temperature 0.3": { scores: uneven, shaping: { temperature: 0.3 } },
  "temperature 5, -inf among the scores": { scores: holes, shaping: { temperature: 5 } },
  "all scores equal": { scores: uneven.map(() => 2.5), shaping: { temperature: 0.7 } },
  "all equal, every filter": {
    scores: uneven.map(() => -7),
    shaping: { temperature: 1, topK: 3, topP: 0.2, minP: 0.9 },
  },
  "top_k 1": { scores: uneven, shaping: { temperature: 9, topK: 1 } },
  "top_k 7": { scores: uneven, shaping: { temperature: 9, topK: 7 } },
  "top_k above the vocabulary": { scores: uneven, shaping: { temperature: 9, topK: 1000 } },
  "top_k above the finite scores": { scores: holes, shaping: { temperature: 9, topK: 35 } },
  "top_k keeps ties": { scores: ties, shaping: { temperature: 9, topK: 12 } },
  "top_p 0.5": { scores: uneven, shaping: { temperature: 3, topP: 0.5 } },
  "top_p 0.97": { scores: uneven, shaping: { temperature: 3, topP: 0.97 } },
  "top_p next to 0": { scores: uneven, shaping: { temperature: 3, topP: 1e-9 } },
  "top_p keeps ties": { scores: ties, shaping: { temperature: 3, topP: 0.5 } },
  "min_p 0.3": { scores: uneven, shaping: { temperature: 2, minP: 0.3 } },
  "min_p 1": { scores: uneven, shaping: { temperature: 2, minP: 1 } },
  "top_p of what top_k leaves": {
    scores: uneven,
    shaping: { temperature: 4, topK: 10, topP: 0.6 },
  },
  "top_k of what min_p leaves": {
    scores: uneven,
    shaping: { temperature: 4, topK: 15, minP: 0.45 },
  },
  "fewer left by min_p than top_k allows": {
    scores: uneven,
    shaping: { temperature: 4, topK: 30, minP: 0.45 },
  },
  "all filters": {
    scores: holes,
    shaping: { temperature: 4, topK: 14, topP: 0.7, minP: 0.2 },
  },
  "huge scores": {
    scores: Float32Array.from([3.3e38, -3.3e38, 3.3e38, 0, -Infinity]),
    shaping: { temperature: 1, topK: 4, topP: 0.99, minP: 0.01 },
  },
};

for (const [name, { scores, shaping }] of Object.entries(SHAPINGS)) {
  Deno.test(`sample draws from the exact distribution: ${name}`, async () => {
    const expected = distribution(scores, shaping);
    const counts = await histogram(scores, shaping);
    assert(fits(counts, expected), `drew ${counts} from ${[...expected].map((p) => p.toFixed(4))}`);
  });
}

Deno.test("sample gives thousands of rare tokens together their exact probability", async () => {
  const rare = 2000;
  const scores = new Float32Array(rare + 1).fill(-Math.log(rare));
  scores[0] = 0;
  const rows = Array.from({ length: 1200 }, (_, position) => ({ temperature: 1, position }));
  const { tokens } = await runSample(repeated(scores, rows.length), rows);
  const common = tokens.filter((token) => token === 0).length;
  assert(fits([common, rows.length - common], [0.5, 0.5]), `${common} of ${rows.length}`);
});

Deno.test("sample filters a vocabulary of 151,936 as sorting does", async () => {
  const vocab = 151_936;
  const scores = randomFloats(randomSource(3), vocab, 4);
  const shapings: Shaping[] = [
    { temperature: 0.5, topK: 50 },
    { temperature: 0.3, topP: 0.02 },
    { temperature: 1, minP: 0.97 },
    { temperature: 1, topK: 100_000, topP: 0.001, minP: 0.001 },
  ];
  const expected = shapings.map((shaping) => distributionOfTop(scores, shaping));
  const rows = shapings.flatMap((shaping) =>
    Array.from({ length: 6 }, (_, position) => ({ ...shaping, position }))
  );
  const { tokens } = await runSample(repeated(scores, rows.length), rows);
  tokens.forEach((token, r) =>
    assert(expected[Math.floor(r / 6)]?.has(token), `row ${r}: ${token}`)
  );
  assert(new Set(tokens).size > 15);
});

/** The tokens kept, sorting once: `distribution` is quadratic. */
function distributionOfTop(scores: Float32Array, shaping: Shaping): Set<number> {
  const { temperature, topK = 0, topP = 1, minP = 0 } = shaping;
  const order = [...scores.keys()].sort((a, b) => (scores[b] ?? 0) - (scores[a] ?? 0));
  const top = scores[order[0] ?? 0] ?? 0;
  const weight = (v: number) => Math.exp(((scores[v] ?? 0) - top) / temperature);
  let kept = order.filter((v) => weight(v) >= minP);
  if (topK > 0) kept = kept.slice(0, topK);
  const total = kept.reduce((sum, v) => sum + weight(v), 0);
  let higher = 0;
  // Room for the kernel's rounding of probabilities at the very edge.
  return new Set(kept.filter((v) => {
    const stays = higher < topP * total * 1.0001;
    higher += weight(v);
    return stays;
  }));
}

Deno.test("sample never draws NaN or -Infinity, and no token where there is nothing else", async () => {
  const nothing = [NaN, -Infinity, NaN];
  const one = [NaN, -Infinity, -2];
  const shapings = [{}, { topK: 2 }, { topP: 0.5 }, { topK: 2, topP: 0.5, minP: 0.1 }];
  const rows = shapings.flatMap((shaping) => [0, 1].map(() => ({ temperature: 1, ...shaping })))
    .map((row, position) => ({ ...row, position }));
  const scores = new Float32Array(shapings.flatMap(() => [...nothing, ...one]));
  const { tokens, lastToken } = await runSample(scores, rows);
  assertEquals(tokens, shapings.flatMap(() => [NONE, 2]));
  assertEquals([...lastToken], tokens, "and what the slot had last stays");
});

Deno.test("sample draws the same token from the same scores in any row, slot, batch or workgroup", async () => {
  const vocab = 1000;
  const scores = randomFloats(randomSource(8), vocab, 3);
  const cases: RowParameters[] = Array.from({ length: 12 }, (_, i) => ({
    temperature: 1 + i / 10,
    position: i * 7,
    seed: [i * 1234567, i],
    topP: i % 2 ? 0.8 : 1,
    topK: i % 3 ? 300 : 0,
  }));
  const alone: number[] = [];
  for (const one of cases) alone.push(...(await runSample(scores, [one])).tokens);
  const together = await runSample(repeated(scores, 12), cases);
  assertEquals(together.tokens, alone);
  const backwards = cases.map((one, r) => ({ ...one, slot: (r * 5) % 12 })).reverse();
  const moved = await runSample(repeated(scores, 12), backwards, { slots: 12 });
  assertEquals([...moved.tokens].reverse(), alone);
  for (const workgroup of [16, 64, 1024]) {
    const other = await runSample(repeated(scores, 12), cases, { workgroup });
    assertEquals(other.tokens, alone);
  }
});

Deno.test("sample draws afresh at each position and seed", async () => {
  const scores = new Float32Array(4096);
  const base: RowParameters = { temperature: 1, seed: [5, 6], position: 7 };
  const others: RowParameters[] = [
    base,
    { ...base, position: 8 },
    { ...base, seed: [6, 6] },
    { ...base, seed: [5, 7] },
    { ...base, seed: [6, 5] },
  ];
  const { tokens } = await runSample(repeated(scores, 5), others);
  assertEquals(new Set(tokens).size, 5);
});

Deno.test("sample draws independently at neighbouring positions and seeds", async () => {
  const scores = new Float32Array(4);
  for (const along of ["position", "seed low", "seed high"]) {
    const rows = Array.from({ length: 2000 }, (_, i): RowParameters => ({
      temperature: 1,
      position: along === "position" ? i : 9,
      seed: [along === "seed low" ? i : 1, along === "seed high" ? i : 2],
    }));
    const { tokens } = await runSample(repeated(scores, rows.length), rows, { workgroup: 64 });
    const pairs = new Array<number>(16).fill(0);
    for (let i = 1; i < tokens.length; i += 2) {
      const pair = (tokens[i - 1] ?? 0) * 4 + (tokens[i] ?? 0);
      pairs[pair] = (pairs[pair] ?? 0) + 1;
    }
    assert(fits(pairs, pairs.map(() => 1 / 16)), `along ${along}: ${pairs}`);
  }
});

Deno.test("sample writes the slot's last token and counts, and leaves rows that do not draw", async () => {
  const vocab = 11;
  const scores = repeated(Float32Array.from({ length: vocab }, (_, v) => v === 6 ? 9 : 0), 3);
  const { tokens, results, counts, lastToken } = await runSample(scores, [
    { slot: 4, flags: DRAW | PENALTIES },
    { slot: 2, flags: DRAW },
    { slot: 1, flags: 0 },
  ], { slots: 5 });
  assertEquals(tokens, [6, 6, NONE]);
  assertEquals([...lastToken], [NONE, NONE, 6, NONE, 6]);
  assertEquals(counts.findIndex((count) => count > 0), 4 * vocab + 6);
  assertEquals(counts.reduce((sum, count) => sum + count, 0), 1);
  assertEquals(readResult(results, 0), { token: 6, logprobs: null });
  assertEquals(readResult(results, 2), { token: null, logprobs: null });
  assertEquals([...results.subarray(0, 4)], [6, 0, 0, NONE], "and nothing else is left as it was");
});
