import { Detokenizer } from "../../models/detokenizer.ts";
import { StopStrings } from "../../models/stop_strings.ts";
import type { Tokenizer } from "../../models/tokenizer.ts";
import type { OutputEnd, OutputToken } from "../batch_former/protocol.ts";
import type { TokenLogprobs } from "../sampling.ts";
import type { StreamLogprobs, StreamToken } from "./protocol.ts";

/** The part of a Tokenizer that turns ids into text. */
export type Vocabulary = Pick<Tokenizer, "table" | "tokenText" | "tokenBytes" | "decode">;

/** What some tokens add to a stream; once there is a `reason` the text is complete. */
export interface Piece {
  readonly text: string;
  readonly tokens: readonly StreamToken[];
  readonly reason: "stop" | "length" | null;
}

/** The tokens of one request on their way to text: detokenised piece by piece, ended by its stop strings. */
export class TextStream {
  readonly #vocabulary: Vocabulary;
  readonly #detokenizer: Detokenizer;
  readonly #stops: StopStrings;
  #completionTokens = 0;

  /** With `continues` the text goes on after other text: a completion, not a reply. */
  constructor(
    vocabulary: Vocabulary,
    options: { readonly stop: readonly string[]; readonly continues: boolean },
  ) {
    this.#vocabulary = vocabulary;
    this.#detokenizer = new Detokenizer(vocabulary, { continues: options.continues });
    this.#stops = new StopStrings(options.stop);
  }

  /** Tokens generated, the ending one included; those after a stop string never were. */
  get completionTokens(): number {
    return this.#completionTokens;
  }

  /** The token that ends a generation with "stop" counts, but is neither text nor a stream token. */
  push(output: readonly OutputToken[], end: OutputEnd | null): Piece {
    const finish = end?.kind === "finished" ? end.reason : null;
    const ending = finish === "stop" && output.length > 0 ? 1 : 0;
    const tokens: StreamToken[] = [];
    let text = "";
    for (const made of output.slice(0, output.length - ending)) {
      this.#completionTokens++;
      tokens.push(streamToken(this.#vocabulary, made.token, made.logprobs));
      const { text: certain, stopped } = this.#stops.push(this.#detokenizer.push(made.token));
      text += certain;
      if (stopped) return { text, tokens, reason: "stop" };
    }
    if (finish === null) return { text, tokens, reason: null };
    this.#completionTokens += ending;
    const last = this.#stops.push(this.#detokenizer.flush());
    text += last.text + this.#stops.flush();
    return { text, tokens, reason: last.stopped ? "stop" : finish };
  }
}

/** Prompt tokens as a stream shows them; `logprobs` is one a token, or null where none are wanted. */
export function promptTokens(
  vocabulary: Vocabulary,
  prompt: readonly number[],
  logprobs: readonly (TokenLogprobs | null)[] | null,
): StreamToken[] {
  return prompt.map((token, at) => streamToken(vocabulary, token, logprobs?.[at] ?? null));
}

function streamToken(
  vocabulary: Vocabulary,
  token: number,
  logprobs: TokenLogprobs | null,
): StreamToken {
  return {
    ...spelled(vocabulary, token),
    logprobs: logprobs && streamLogprobs(vocabulary, logprobs),
  };
}

function streamLogprobs(vocabulary: Vocabulary, { logprob, top }: TokenLogprobs): StreamLogprobs {
  return {
    logprob: finite(logprob),
    top: top.map(([token, logprob]) => ({
      ...spelled(vocabulary, token),
      logprob: finite(logprob),
    })),
  };
}

type Spelling = Pick<StreamToken, "token" | "text" | "bytes" | "special">;

/** Found once a token and vocabulary: each token of each stream is spelled. */
const spellings = new WeakMap<Vocabulary, Map<number, Spelling>>();

function spelled(vocabulary: Vocabulary, token: number): Spelling {
  let known = spellings.get(vocabulary);
  if (!known) spellings.set(vocabulary, known = new Map());
  let spelling = known.get(token);
  if (!spelling) {
    const bytes = [...vocabulary.tokenBytes(token)];
    const text = vocabulary.tokenText(token);
    const special = vocabulary.table.special.has(token) && { special: true } as const;
    known.set(token, spelling = { token, text, bytes, ...special });
  }
  return spelling;
}

// JSON has no -Infinity: it comes over the socket as null. -9999 is what vLLM says instead.
const finite = (logprob: number) => Number.isFinite(logprob) ? logprob : -9999;
