import { escapeRegExp } from "./token_splitter.ts";

/**
 * A rendered chat template. `marked` is `text` with `mark`, a character found nowhere else in it, set
 * into every place where text of a message would read as a control token; the tokenizer looks for control
 * tokens in `marked` and drops the marks afterwards.
 */
export interface RenderedChat {
  readonly text: string;
  readonly marked: string;
  readonly mark: string;
}

/** Sets marks into client text so that no control token can start, end or lie in it. */
export class ControlMarks {
  readonly #tokens: RegExp | null;
  readonly #heads: readonly string[];
  readonly #tails: readonly string[];

  constructor(controlTokens: readonly string[]) {
    this.#tokens = controlTokens.length === 0
      ? null
      : new RegExp(`(?=${controlTokens.map(escapeRegExp).join("|")}).`, "gsu");
    const cuts = (token: string) => Array.from({ length: token.length - 1 }, (_, i) => i + 1);
    this.#heads = distinct(controlTokens.flatMap((t) => cuts(t).map((i) => t.slice(0, i))));
    this.#tails = distinct(controlTokens.flatMap((t) => cuts(t).map((i) => t.slice(i))));
  }

  /**
   * `text` with a mark behind the first character of each control token in it, of each beginning of one
   * at its end, and before the last character of each ending of one at its start: a template may complete
   * those. White space around is overlooked, because templates trim.
   */
  set(text: string, mark: string): string {
    const lead = text.length - text.trimStart().length;
    const trail = text.trimEnd().length;
    const places = new Set<number>();
    for (const match of text.matchAll(this.#tokens ?? /$^/g)) {
      places.add(match.index + match[0].length);
    }
    for (const head of this.#heads) {
      if (text.endsWith(head, trail)) places.add(trail - head.length + first(head));
    }
    for (const tail of this.#tails) {
      if (text.startsWith(tail, lead)) places.add(lead + tail.length - last(tail));
    }
    let marked = "";
    let from = 0;
    for (const place of [...places].sort((a, b) => a - b)) {
      marked += text.slice(from, place) + mark;
      from = place;
    }
    return marked + text.slice(from);
  }
}

/** Noncharacters, and the characters for private use. */
const MARKS = [[0xfdd0, 0xfdef], [0xe000, 0xf8ff]] as const;

/** A character for `mark` that none of the texts has; null: they have all that would do. One look at each text. */
export function unusedMark(texts: readonly string[]): string | null {
  const used = new Set<string>();
  for (const text of texts) {
    for (const [mark] of text.matchAll(/[\ufdd0-\ufdef\ue000-\uf8ff]/g)) used.add(mark);
  }
  for (const [low, high] of MARKS) {
    for (let code = low; code <= high; code++) {
      const mark = String.fromCharCode(code);
      if (!used.has(mark)) return mark;
    }
  }
  return null;
}

function distinct(texts: readonly string[]): string[] {
  return [...new Set(texts.filter((text) => text.isWellFormed()))];
}

function first(text: string): number {
  return (text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1;
}

function last(text: string): number {
  return /[\uDC00-\uDFFF]$/.test(text) ? 2 : 1;
}
