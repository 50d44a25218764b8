import { assertEquals } from "@std/assert";
import OpenAI from "openai";
import { textOf } from "../support/golden_model.ts";
import type { goldens } from "../support/goldens.ts";
import { type Corpus, variantsOf } from "./corpus.ts";

/** Between the two likeliest tokens, in log probability: below it a batch's other rows may turn the choice. */
const NEAR = 0.03;

/** A prompt, and how each variant goes on: as many characters (tokens) as no rounding can turn. */
export interface Question {
  readonly prompt: readonly number[];
  readonly answers: ReadonlyMap<string, string>;
}

/**
 * Asks each variant, before anything else happens, how it continues some of the golden prompts; where the
 * prompt is its own, the answer is PEFT's. Keeps the first `count` questions that tell all variants apart.
 */
export async function questions(
  url: string,
  golden: ReturnType<typeof goldens>,
  corpus: Corpus,
  maxTokens: number,
  count: number,
): Promise<Question[]> {
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
  const variants = variantsOf(golden);
  const found: Question[] = [];
  const ask = async (variant: string, name: string, prompt: readonly number[]) => {
    const { choices } = await client.completions.create({
      model: name,
      prompt: [...prompt],
      max_tokens: maxTokens,
      temperature: 0,
      logprobs: 2,
    });
    const { text = "", logprobs } = choices[0] ?? {};
    const own = golden.cases[variant]?.prompts.find((each) => each.prompt === prompt);
    if (own) assertEquals(text, textOf(own.tokens.slice(0, maxTokens)));
    return [variant, text.slice(0, certain(logprobs?.top_logprobs ?? []))] as const;
  };
  for (const { prompt } of variants.flatMap((variant) => golden.cases[variant]?.prompts ?? [])) {
    const answers = await Promise.all(
      variants.map((variant, at) => ask(variant, corpus.names[at] ?? "", prompt)),
    );
    const texts = answers.map(([, text]) => text);
    const apart = texts.every((a, i) => texts.every((b, j) => i === j || !agrees(a, b)));
    if (apart) found.push({ prompt, answers: new Map(answers) });
    if (found.length === count) return found;
  }
  throw new Error(`Cannot ask ${count} questions: only ${found.length} tell all variants apart`);
}

/** `text`, some of a variant's continuation, may be the beginning of `answer` and of more. */
export const agrees = (text: string, answer: string): boolean =>
  text.startsWith(answer) || answer.startsWith(text);

/** Positions before the first at which the two likeliest tokens are near each other. */
function certain(top: readonly Record<string, number>[]): number {
  const near = top.findIndex((choices) => {
    const [first = 0, second = -Infinity] = Object.values(choices).sort((a, b) => b - a);
    return first - second < NEAR;
  });
  return near < 0 ? top.length : near;
}
