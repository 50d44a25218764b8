import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { completionLogprobs } from "../../routes/logprobs.ts";

/** Tokens whose bytes follow each other, each with its own text, as the router gives them. */
const tokensOf = (pieces: readonly Uint8Array[]) =>
  pieces.map((piece, token) => ({
    token,
    text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(piece),
    bytes: [...piece],
    logprobs: null,
  }));

Deno.test("special tokens, of which the text has nothing, take no place in it", () => {
  const tokens = ["<s>", "one", "</s>", "two"].map((text, token) => ({
    ...{ token, text, bytes: [...new TextEncoder().encode(text)], logprobs: null },
    ...text.startsWith("<") && { special: true } as const,
  }));
  assertEquals(completionLogprobs(tokens, 0).text_offset, [0, 0, 3, 3]);
});

Deno.test("text offsets point into the text, also where characters lie in several tokens", () => {
  const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 });
  fc.assert(fc.property(text, fc.array(fc.nat(60), { maxLength: 20 }), (text, at) => {
    const bytes = new TextEncoder().encode(text);
    const cuts = [...new Set([0, ...at.filter((cut) => cut < bytes.length), bytes.length])];
    cuts.sort((a, b) => a - b);
    const pieces = cuts.slice(1).map((end, i) => bytes.subarray(cuts[i], end));
    // The character that holds a token's first byte: as many as begin up to it, less one.
    const expected = cuts.slice(0, -1).map((start) =>
      bytes.subarray(0, start + 1).filter((byte) => (byte & 0xc0) !== 0x80).length - 1
    );
    assertEquals(completionLogprobs(tokensOf(pieces), 0).text_offset, expected);
  }));
});
