import { BPE, Tokenizer as Pipeline } from "@huggingface/tokenizers";
import type { RenderedChat } from "./control_marks.ts";
import { Detokenizer } from "./detokenizer.ts";
import { MergeBoundaries } from "./merge_boundaries.ts";
import { controlTokens, namedTokens, specialTokens } from "./special_tokens.ts";
import { parseDecoding, TokenTable } from "./token_table.ts";
import { TokenSplitter } from "./token_splitter.ts";
import { type AddedToken, readTokenizerFiles, type TokenizerFiles } from "./tokenizer_files.ts";

/** What `encode` may make of its text. */
export interface EncodeOptions {
  /** Add what the model wants around a text (BOS), true unless said otherwise. */
  readonly addSpecialTokens?: boolean;
  /** Let control tokens spelled in the text be control tokens; false unless said otherwise. */
  readonly allowSpecial?: boolean;
}

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
/** Shorter words than this are not worth cutting: byte-level words nearly always are. */
const LONG_WORD = 64;

/** A model's tokenizer: text to ids and back, as the Python tokenizers library does it. */
export class Tokenizer {
  /** What each id stands for, for Detokenizer. */
  readonly table: TokenTable;
  readonly bosTokenId: number | null;
  /** As tokenizer_config.json says; generation_config.json may know more. */
  readonly eosTokenIds: readonly number[];
  readonly #pipeline: Pipeline;
  readonly #model: BPE;
  readonly #boundaries: MergeBoundaries | null;
  readonly #all: Splitters;
  readonly #ordinary: Splitters;
  readonly #before: readonly number[];
  readonly #after: readonly number[];

  /** Throws TypeError where the files name something that is not there or not supported. */
  constructor(files: TokenizerFiles) {
    const { tokenizer, config } = files;
    const { pipeline, model } = buildPipeline(files);
    this.#pipeline = pipeline;
    this.#model = model;
    this.#boundaries = model.ignore_merges ? null : new MergeBoundaries(model.merges);

    const tokens: (string | undefined)[] = [...model.vocab];
    const ids = new Map(model.tokens_to_ids);
    for (const { id, content } of tokenizer.added_tokens) {
      tokens[id] = content;
      ids.set(content, id);
    }
    const special = specialTokens(files).map((token) => token.id);
    const decoding = parseDecoding(tokenizer.decoder, `${files.directory}/tokenizer.json`);
    this.table = new TokenTable(tokens, new Set(special), decoding);

    const control = new Set(controlTokens(files));
    // Merges of some checkpoints spell a control token; without the word they end as its bytes.
    for (const { content } of control) model.tokens_to_ids.delete(content);
    const normalize = (text: string) => this.#pipeline.normalizer?.normalize(text) ?? text;
    this.#all = splitters(tokenizer.added_tokens, normalize);
    this.#ordinary = splitters(tokenizer.added_tokens.filter((t) => !control.has(t)), normalize);

    const idOf = (token: string, why: string): number => {
      const id = ids.get(token);
      if (id !== undefined) return id;
      throw new TypeError(
        `Cannot load the tokenizer: expected ${files.directory}/tokenizer.json to have ${why}, received none "${token}"`,
      );
    };
    const { bos_token: bos, eos_token: eos } = namedTokens(files);
    this.bosTokenId = bos === undefined ? null : idOf(bos, "the bos_token");
    this.eosTokenIds = eos === undefined ? [] : [idOf(eos, "the eos_token")];
    const { add_bos_token, add_eos_token } = config;
    if (typeof add_bos_token === "boolean" || typeof add_eos_token === "boolean") {
      // transformers lets these two replace the file's post-processor.
      this.#before = add_bos_token && this.bosTokenId !== null ? [this.bosTokenId] : [];
      this.#after = add_eos_token ? this.eosTokenIds : [];
    } else {
      const around = this.#pipeline.post_processor?.post_process(["\0text"], null, true).tokens ??
        ["\0text"];
      const at = around.indexOf("\0text");
      const added = (token: string) => idOf(token, "its post_processor's token");
      this.#before = around.slice(0, at).map(added);
      this.#after = around.slice(at + 1).map(added);
    }
  }

  /** Reads tokenizer.json and tokenizer_config.json; errors name the file and what is wrong in it. */
  static async load(modelDirectory: string): Promise<Tokenizer> {
    return new Tokenizer(await readTokenizerFiles(modelDirectory));
  }

  /** One more than the highest id that has a token. */
  get vocabSize(): number {
    return this.table.tokens.length;
  }

  /** Ids of a text. Control tokens spelled in it stay text unless `allowSpecial`. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    const body = this.#encode(
      text.toWellFormed(),
      options.allowSpecial ? this.#all : this.#ordinary,
    );
    return options.addSpecialTokens === false ? body : [...this.#before, ...body, ...this.#after];
  }

  /** Ids of a rendered chat: the template's control tokens are control tokens, its messages' are text. */
  encodeChat(rendered: RenderedChat): number[] {
    return this.#encode(rendered.marked, this.#all, rendered.mark);
  }

  /** Text of ids, special tokens left out; ids without a token give nothing. */
  decode(ids: Iterable<number>): string {
    const detokenizer = new Detokenizer(this);
    let text = "";
    for (const id of ids) text += detokenizer.push(id);
    return text + detokenizer.flush();
  }

  /** Whether decoding leaves this id out. */
  isSpecial(id: number): boolean {
    return this.table.special.has(id);
  }

  /** Text of one token on its own, with U+FFFD where it holds parts of characters. */
  tokenText(id: number): string {
    return lossy.decode(this.tokenBytes(id));
  }

  /** UTF-8 bytes of one token on its own, special or not. */
  tokenBytes(id: number): Uint8Array {
    return this.table.bytes(id);
  }

  #encode(text: string, splitters: Splitters, mark = ""): number[] {
    const ids: number[] = [];
    const { normalizer, pre_tokenizer } = this.#pipeline;
    let first = true;
    for (const part of splitters.raw.split(text)) {
      const normalized = typeof part === "number" ? part : normalizer?.normalize(part) ?? part;
      const pieces = typeof normalized === "number"
        ? [normalized]
        : splitters.normalized.split(normalized);
      for (const piece of pieces) {
        if (typeof piece === "number") ids.push(piece);
        else {
          const clean = mark === "" ? piece : piece.replaceAll(mark, "");
          const words = pre_tokenizer?.pre_tokenize(clean, { section_index: first ? 0 : 1 }) ??
            [clean];
          for (const id of this.#encodeWords(words)) ids.push(id);
        }
        first = false;
      }
    }
    return ids;
  }

  #encodeWords(words: readonly string[]): number[] {
    const cut = words.flatMap((word) =>
      word.length < LONG_WORD ? [word] : this.#boundaries?.split(word) ?? [word]
    );
    return this.#model._call(cut).flatMap((token) =>
      this.#model.tokens_to_ids.get(token) ?? this.#model.unk_token_id ?? []
    );
  }
}

function buildPipeline({ directory, tokenizer, config }: TokenizerFiles) {
  try {
    // Added tokens are cut out by Tokenizer, not by the library: it would take them from anyone's text.
    const pipeline = new Pipeline({ ...tokenizer, added_tokens: [] }, config);
    if (pipeline.model instanceof BPE) return { pipeline, model: pipeline.model };
    throw new TypeError("the model is not BPE");
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new TypeError(
      `Cannot load the tokenizer: expected ${directory}/tokenizer.json to be complete, received one where ${why}`,
      { cause },
    );
  }
}

/** Added tokens cut before and after normalization. */
interface Splitters {
  readonly raw: TokenSplitter;
  readonly normalized: TokenSplitter;
}

function splitters(
  tokens: readonly AddedToken[],
  normalize: (text: string) => string,
): Splitters {
  const late = (token: AddedToken) => token.normalized ?? !token.special;
  return {
    raw: new TokenSplitter(tokens.filter((t) => !late(t)), (t) => t.content),
    normalized: new TokenSplitter(tokens.filter(late), (t) => normalize(t.content)),
  };
}
