/**
 * Writes a byte-level tokenizer.json of `vocabSize` tokens: the 256 bytes, then words that no merge makes, so that
 * every id of a random model is text of its own.
 */
export async function writeRandomTokenizer(directory: string, vocabSize: number): Promise<void> {
  const vocab: Record<string, number> = {};
  byteLetters().forEach((letter, byte) => vocab[letter] = byte);
  for (let id = 256; id < vocabSize; id++) vocab[`\u0120t${id}`] = id;
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  await Deno.writeTextFile(
    `${directory}/tokenizer.json`,
    JSON.stringify({
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: { type: "BPE", vocab, merges: [] },
    }),
  );
  await Deno.writeTextFile(
    `${directory}/tokenizer_config.json`,
    JSON.stringify({ clean_up_tokenization_spaces: false }),
  );
}

/** GPT-2's letter for each byte: itself where it is printable, else the next one from U+0100 on. */
function byteLetters(): string[] {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte !== 173);
    return String.fromCodePoint(printable ? byte : next++);
  });
}
