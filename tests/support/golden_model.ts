import { goldenDirectory } from "./goldens.ts";

/** Token i of a golden model is this one character, so that text over HTTP tells the ids exactly. */
const FIRST_CHARACTER = 0x4e00;
export const textOf = (tokens: readonly number[]): string =>
  String.fromCodePoint(...tokens.map((token) => FIRST_CHARACTER + token));

/** How byte-level BPE writes a byte (GPT-2's bytes_to_unicode). */
function byteCharacter(byte: number): string {
  const printable = (b: number) =>
    (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  if (printable(byte)) return String.fromCharCode(byte);
  let index = 0;
  for (let b = 0; b < byte; b++) if (!printable(b)) index++;
  return String.fromCharCode(256 + index);
}

/** A golden model's directory with a tokenizer beside its weights, under a temporary path. */
export async function goldenModel(
  architecture: string,
  vocabSize: number,
): Promise<{ directory: string } & AsyncDisposable> {
  const directory = await Deno.makeTempDir({ prefix: `chorus-${architecture}-` });
  const source = goldenDirectory(architecture);
  for await (const { name, isFile } of Deno.readDir(source)) {
    if (isFile && !/expected|logits/.test(name)) {
      await Deno.symlink(`${source}/${name}`, `${directory}/${name}`);
    }
  }
  const encoder = new TextEncoder();
  const vocab: Record<string, number> = {};
  for (let token = 0; token < vocabSize; token++) {
    vocab[[...encoder.encode(textOf([token]))].map(byteCharacter).join("")] = token;
  }
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: "ByteLevel",
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: false,
    },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges: [],
    },
  };
  await Deno.writeTextFile(`${directory}/tokenizer.json`, JSON.stringify(tokenizer));
  await Deno.writeTextFile(
    `${directory}/tokenizer_config.json`,
    JSON.stringify({
      tokenizer_class: "PreTrainedTokenizerFast",
      clean_up_tokenization_spaces: false,
    }),
  );
  return {
    directory,
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}
