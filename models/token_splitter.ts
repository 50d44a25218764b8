import type { AddedToken } from "./tokenizer_files.ts";

/** Cuts added tokens out of text: at each place the longest that fits, from left to right. */
export class TokenSplitter {
  readonly #ids = new Map<string, number>();
  readonly #pattern: RegExp | null;

  /** `spelling` is how a token reads in the text to be split, which may be normalized text. */
  constructor(tokens: readonly AddedToken[], spelling: (token: AddedToken) => string) {
    const spelled = tokens.map((token) => ({ token, text: spelling(token) }))
      .sort((a, b) => b.text.length - a.text.length);
    for (const { token, text } of spelled) this.#ids.set(text, token.id);
    this.#pattern = spelled.length === 0
      ? null
      : new RegExp(spelled.map(({ token, text }) => alternative(token, text)).join("|"), "gu");
  }

  /** Non-empty pieces of text and token ids, in order. */
  split(text: string): (string | number)[] {
    if (this.#pattern === null) return text === "" ? [] : [text];
    const parts: (string | number)[] = [];
    let end = 0;
    for (const match of text.matchAll(this.#pattern)) {
      const id = this.#ids.get(match[0]) ?? this.#ids.get(match[0].trim());
      if (id === undefined) continue;
      if (match.index > end) parts.push(text.slice(end, match.index));
      parts.push(id);
      end = match.index + match[0].length;
    }
    if (end < text.length) parts.push(text.slice(end));
    return parts;
  }
}

function alternative({ lstrip, rstrip, single_word }: AddedToken, text: string): string {
  const edge = single_word ? ["(?<![\\p{L}\\p{N}_])", "(?![\\p{L}\\p{N}_])"] : ["", ""];
  return `${lstrip ? "\\s*" : ""}${edge[0]}${escapeRegExp(text)}${edge[1]}${rstrip ? "\\s*" : ""}`;
}

/** The text as a regular expression (flag u) that matches it alone. */
export function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");
}
