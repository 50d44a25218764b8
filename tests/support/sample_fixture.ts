import { f32Bits, NONE } from "../../kernels/step_words.ts";
import { RESULT_WORDS } from "../../kernels/sample/results.ts";
import { sample, sampleWorkgroups } from "../../kernels/sample/sample.ts";
import { dispatch, downloadU32, upload } from "./gpu.ts";
import type { Shaping } from "./sampling_oracle.ts";
import { stepWords } from "./step_fixture.ts";

/** Sampling parameters of one row, by the names of sample.wgsl's fields. */
export interface RowParameters extends Partial<Shaping> {
  readonly slot?: number;
  readonly position?: number;
  readonly seed?: readonly [low: number, high: number];
  readonly presence?: number;
  readonly frequency?: number;
  readonly repetition?: number;
  /** [token, bias] pairs. */
  readonly bias?: readonly (readonly [number, number])[];
  /** Number of top log probabilities wanted. */
  readonly top?: number;
  readonly target?: number;
  readonly flags?: number;
}

export const DRAW = 1;
export const PENALTIES = 2;

/** The words of a step with these rows of logits. */
export function sampleStep(rows: readonly RowParameters[]): Uint32Array<ArrayBuffer> {
  return stepWords({
    logitRows: rows.length,
    samples: rows.flatMap((row, r) => [
      row.slot ?? r,
      row.position ?? 0,
      f32Bits(row.temperature ?? 0),
      row.topK ?? 0,
      f32Bits(row.topP ?? 1),
      f32Bits(row.minP ?? 0),
      row.seed?.[0] ?? 0,
      row.seed?.[1] ?? 0,
      f32Bits(row.presence ?? 0),
      f32Bits(row.frequency ?? 0),
      f32Bits(row.repetition ?? 1),
      r,
      row.bias?.length ?? 0,
      row.top ?? NONE,
      row.target ?? NONE,
      row.flags ?? DRAW,
    ]),
    biases: rows.map((row) => (row.bias ?? []).flatMap(([token, bias]) => [token, f32Bits(bias)])),
  });
}

export interface Sampled {
  readonly tokens: readonly number[];
  readonly results: Uint32Array<ArrayBuffer>;
  readonly counts: Uint32Array<ArrayBuffer>;
  readonly lastToken: Uint32Array<ArrayBuffer>;
}

/** Runs sample on `scores` [rows][vocab]. */
export async function runSample(
  scores: Float32Array<ArrayBuffer>,
  rows: readonly RowParameters[],
  options: { slots?: number; workgroup?: number } = {},
): Promise<Sampled> {
  const vocab = scores.length / rows.length;
  const slots = options.slots ?? rows.length;
  const counting = rows.some((row) => ((row.flags ?? DRAW) & PENALTIES) !== 0);
  const countWords = counting ? slots * vocab : 4;
  const counts = await upload(new Uint32Array(countWords));
  const lastToken = await upload(new Uint32Array(slots).fill(NONE));
  const results = await upload(new Uint32Array(rows.length * RESULT_WORDS).fill(7));
  await dispatch(
    sample,
    { VOCAB: vocab, WORKGROUP: options.workgroup ?? 256 },
    {
      step: await upload(sampleStep(rows)),
      scores: await upload(scores),
      counts,
      last_token: lastToken,
      results,
    },
    sampleWorkgroups(rows.length),
  );
  const words = new Uint32Array(await downloadU32(results, rows.length * RESULT_WORDS));
  return {
    tokens: rows.map((_, r) => words[r * RESULT_WORDS] ?? NONE),
    results: words,
    counts: new Uint32Array(await downloadU32(counts, countWords)),
    lastToken: new Uint32Array(await downloadU32(lastToken, slots)),
  };
}

/** `row` once for each of `count` rows. */
export function repeated(row: ArrayLike<number>, count: number): Float32Array<ArrayBuffer> {
  const all = new Float32Array(row.length * count);
  for (let r = 0; r < count; r++) all.set(row, r * row.length);
  return all;
}
