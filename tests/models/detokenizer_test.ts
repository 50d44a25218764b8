import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { Detokenizer } from "../../models/detokenizer.ts";
import { Tokenizer } from "../../models/tokenizer.ts";
import { tokenizerDirectory, tokenizerGolden, TOKENIZERS } from "../support/tokenizer_goldens.ts";

for (const name of TOKENIZERS) {
  const golden = tokenizerGolden(name);
  const tokenizer = await Tokenizer.load(tokenizerDirectory(name));

  Deno.test(`push() and flush() together give Python's text, in well-formed pieces (${name})`, () => {
    const cases = [
      ...golden.texts.map(({ ids, decoded }) => ({ ids, decoded })),
      ...golden.texts.map(({ literal, decodedLiteral }) => ({
        ids: literal,
        decoded: decodedLiteral,
      })),
      ...golden.sequences,
    ];
    for (const { ids, decoded } of cases) {
      const detokenizer = new Detokenizer(tokenizer);
      const pieces = [...ids.map((id) => detokenizer.push(id)), detokenizer.flush()];
      assertEquals(pieces.join(""), decoded, JSON.stringify(ids));
      assert(pieces.every((piece) => piece.isWellFormed()), JSON.stringify(pieces));
    }
  });

  Deno.test(`what was pushed is never taken back, whatever ids follow (${name})`, () => {
    const id = fc.nat(tokenizer.vocabSize + 2);
    fc.assert(fc.property(fc.array(id), fc.array(id), (ids, more) => {
      const detokenizer = new Detokenizer(tokenizer);
      const sofar = ids.map((each) => detokenizer.push(each)).join("");
      assert(tokenizer.decode(ids).startsWith(sofar));
      assert(tokenizer.decode([...ids, ...more]).startsWith(sofar));
    }));
  });

  Deno.test(`any ids give, piece by piece, what one streaming decoder gives (${name})`, () => {
    if (tokenizer.table.decoding.kind !== "byte-level") return;
    fc.assert(fc.property(fc.array(fc.nat(tokenizer.vocabSize + 2)), (ids) => {
      const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
      const detokenizer = new Detokenizer(tokenizer);
      for (const id of ids.filter((id) => !tokenizer.table.special.has(id))) {
        const piece = decoder.decode(tokenizer.tokenBytes(id), { stream: true });
        assertEquals(detokenizer.push(id), piece);
      }
      assertEquals(detokenizer.flush(), decoder.decode());
    }));
  });

  Deno.test(`text of whole characters comes without a replacement character (${name})`, () => {
    const graphemes = fc.string({ unit: "grapheme" }).filter((text) => !text.includes("\ufffd"));
    fc.assert(fc.property(graphemes, (text) => {
      const detokenizer = new Detokenizer(tokenizer);
      for (const id of tokenizer.encode(text)) assert(!detokenizer.push(id).includes("\ufffd"));
      assert(!detokenizer.flush().includes("\ufffd"));
    }));
  });

  Deno.test(`push() holds nothing back once a word is complete (${name})`, () => {
    const detokenizer = new Detokenizer(tokenizer);
    const pushed = tokenizer.encode("The river was higher").map((id) => detokenizer.push(id));
    assertEquals(pushed.join(""), "The river was higher");
  });
}

Deno.test("push() of a text's first half and second half is seamless only where it continues", async () => {
  const tokenizer = await Tokenizer.load(tokenizerDirectory("mistral"));
  const ids = tokenizer.encode("river water", { addSpecialTokens: false });
  const space = ids.findIndex((id, i) => i > 0 && tokenizer.tokenText(id).startsWith(" "));
  const decode = (continues: boolean) => {
    const detokenizer = new Detokenizer(tokenizer, { continues });
    return ids.slice(space).map((id) => detokenizer.push(id)).join("") + detokenizer.flush();
  };
  assertEquals([decode(true), decode(false)], [" water", "water"]);
});
