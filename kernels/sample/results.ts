import { NONE } from "../step_words.ts";

/** 32-bit words of one row's result; see sample.wgsl. */
export const RESULT_WORDS = 48;
/** Most alternatives a row can report. */
export const MAX_TOP_LOGPROBS = 20;
/** What one row of logits came to. */
export interface SampleResult {
  /** The token drawn, null where the row only asked for log probabilities or had no finite logit to draw. */
  readonly token: number | null;
  /** Null where they were not asked for. */
  readonly logprobs: TokenLogprobs | null;
}

/** Natural logarithms under the model's own distribution, before temperature and penalties. */
export interface TokenLogprobs {
  /** Of the drawn token, or of the target the row named. */
  readonly logprob: number;
  /** Most likely first. */
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** Reads row `row` of the results that sample and logprobs have written. */
export function readResult(words: Uint32Array<ArrayBuffer>, row: number): SampleResult {
  const start = row * RESULT_WORDS;
  if (start + RESULT_WORDS > words.length) {
    throw new RangeError(
      `Cannot read result: row is past the end of ${words.length} words, received ${row}`,
    );
  }
  const floats = new Float32Array(words.buffer, words.byteOffset, words.length);
  const token = words[start] ?? NONE;
  const count = words[start + 3] ?? NONE;
  return {
    token: token === NONE ? null : token,
    logprobs: count === NONE ? null : {
      logprob: floats[start + 1] ?? NaN,
      top: Array.from({ length: count }, (_, i) => ({
        token: words[start + 4 + i] ?? NONE,
        logprob: floats[start + 4 + MAX_TOP_LOGPROBS + i] ?? NaN,
      })),
    },
  };
}
