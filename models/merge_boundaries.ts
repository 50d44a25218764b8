/**
 * Cuts text where no BPE merge can ever join the two neighbours, so that the pieces encode to
 * exactly the ids of the whole. SentencePiece-style tokenizers have no pre-tokenizer: without this a
 * long prompt is one word, and BPE on one word costs more than linear time.
 */
export class MergeBoundaries {
  readonly #joined = new Set<number>();

  constructor(merges: Iterable<readonly [left: string, right: string]>) {
    for (const [left, right] of merges) {
      this.#joined.add(pair(left.charCodeAt(left.length - 1), right.charCodeAt(0)));
    }
  }

  split(text: string): string[] {
    const parts: string[] = [];
    let start = 0;
    let before = text.charCodeAt(0);
    for (let i = 1; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      const insideCharacter = (unit & 0xfc00) === 0xdc00;
      if (!insideCharacter && !this.#joined.has(pair(before, unit))) {
        parts.push(text.slice(start, i));
        start = i;
      }
      before = unit;
    }
    parts.push(text.slice(start));
    return parts;
  }
}

function pair(left: number, right: number): number {
  return (left << 16) | right;
}
