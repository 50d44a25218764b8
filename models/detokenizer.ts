import type { Decoding, TokenTable } from "./token_table.ts";

/**
 * Turns ids into text as they come. All pieces of `push` and `flush` together are what transformers'
 * decode(skip_special_tokens=True, clean_up_tokenization_spaces=False) gives for the same ids.
 */
export class Detokenizer {
  readonly #table: TokenTable;
  readonly #stream: ByteStream | FallbackStream;

  /**
   * With `continues`, the text goes on after other text, so the space that a SentencePiece-style
   * tokenizer drops at the start of a text is kept.
   */
  constructor(tokenizer: { readonly table: TokenTable }, options: { continues?: boolean } = {}) {
    this.#table = tokenizer.table;
    const { decoding } = this.#table;
    this.#stream = decoding.kind === "byte-level"
      ? new ByteStream(this.#table)
      : new FallbackStream(this.#table, options.continues ? null : decoding.strip);
  }

  /** The text that became certain with this id: whole characters, often none. */
  push(id: number): string {
    return this.#table.special.has(id) ? "" : this.#stream.push(id);
  }

  /** The rest of the text, with U+FFFD for bytes that never became a character. Ends the text. */
  flush(): string {
    return this.#stream.flush();
  }
}

class ByteStream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  /** The decoder may hold a part of a character, which it ends at the latest before whole ones. */
  #holds = false;

  constructor(readonly table: TokenTable) {}

  push(id: number): string {
    const whole = this.table.whole(id);
    if (whole !== null && !this.#holds) return whole;
    this.#holds = whole === null;
    return this.#decoder.decode(this.table.bytes(id), { stream: true });
  }

  flush(): string {
    return this.#decoder.decode();
  }
}

const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
type Strip = Extract<Decoding, { kind: "byte-fallback" }>["strip"];

class FallbackStream {
  #run: number[] = [];
  #toStrip: number;

  constructor(readonly table: TokenTable, readonly strip: Strip | null) {
    this.#toStrip = strip?.count ?? 0;
  }

  push(id: number): string {
    const byte = this.table.byte(id);
    if (byte === null) return this.#stripped(this.#endRun() + this.table.text(id));
    this.#run.push(byte);
    return "";
  }

  flush(): string {
    return this.#stripped(this.#endRun());
  }

  /** One bad byte spoils its whole run, one U+FFFD a byte: so a run is certain only when it ends. */
  #endRun(): string {
    if (this.#run.length === 0) return "";
    const bytes = Uint8Array.from(this.#run);
    this.#run = [];
    try {
      return strict.decode(bytes);
    } catch {
      return "\ufffd".repeat(bytes.length);
    }
  }

  #stripped(text: string): string {
    let start = 0;
    while (this.#toStrip > 0 && start < text.length) {
      if (text[start] !== this.strip?.content) this.#toStrip = 0;
      else {
        this.#toStrip--;
        start++;
      }
    }
    return start === 0 ? text : text.slice(start);
  }
}
