import { assert, assertEquals, assertRejects } from "@std/assert";
import { Tokenizer as Pipeline } from "@huggingface/tokenizers";
import fc from "fast-check";
import { Tokenizer } from "../../models/tokenizer.ts";
import {
  editedTokenizer,
  tokenizerDirectory,
  tokenizerGolden,
  TOKENIZERS,
} from "../support/tokenizer_goldens.ts";

/** What a tokenizer keeps of a text: Qwen2 composes it, SentencePiece writes spaces as ▁. */
const readBack = {
  llama3: (text: string) => text,
  qwen2: (text: string) => text.normalize("NFC"),
  mistral: (text: string) => text === "" ? "" : ` ${text}`.replaceAll("▁", " "),
  metaspace: (text: string) => text.replace(/^(?=[^ ▁])/u, " ").replaceAll("▁", " "),
};

for (const name of TOKENIZERS) {
  const golden = tokenizerGolden(name);
  const tokenizer = await Tokenizer.load(tokenizerDirectory(name));

  Deno.test(`encode() gives Python's ids where control tokens are allowed (${name})`, () => {
    for (const { text, ids } of golden.texts) {
      assertEquals(tokenizer.encode(text, { allowSpecial: true }), ids, JSON.stringify(text));
    }
  });

  Deno.test(`encode() keeps control tokens spelled in text as text, as Python's split_special_tokens (${name})`, () => {
    for (const { text, literal } of golden.texts) {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      assertEquals(ids, literal, JSON.stringify(text));
      assert(!ids.some((id) => tokenizer.isSpecial(id)), JSON.stringify(text));
    }
  });

  Deno.test(`decode() gives Python's text (${name})`, () => {
    for (const { ids, decoded, literal, decodedLiteral } of golden.texts) {
      assertEquals(tokenizer.decode(ids), decoded);
      assertEquals(tokenizer.decode(literal), decodedLiteral);
    }
    for (const { ids, decoded } of golden.sequences) {
      assertEquals(tokenizer.decode(ids), decoded, JSON.stringify(ids));
    }
  });

  Deno.test(`bosTokenId, eosTokenIds and vocabSize are Python's (${name})`, () => {
    assertEquals(tokenizer.bosTokenId, golden.bosTokenId);
    assertEquals(tokenizer.eosTokenIds, [golden.eosTokenId]);
    assertEquals(tokenizer.vocabSize, golden.vocabSize);
  });

  Deno.test(`the tokens' bytes put together are the text's bytes (${name})`, () => {
    fc.assert(fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
      const ids = tokenizer.encode(text, { addSpecialTokens: false });
      const bytes = ids.flatMap((id) => [...tokenizer.tokenBytes(id)]);
      const whole = new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes));
      assertEquals(whole, readBack[name](text));
    }));
  });

  Deno.test(`an id without a token stands for nothing (${name})`, () => {
    const outside = tokenizer.vocabSize + 3;
    assertEquals(tokenizer.decode([outside]), "");
    assertEquals(tokenizer.tokenBytes(outside), new Uint8Array());
  });
}

Deno.test("encode() of a long SentencePiece-style text is what the library gives for it uncut", async () => {
  const directory = tokenizerDirectory("mistral");
  const tokenizer = await Tokenizer.load(directory);
  const uncut = new Pipeline(
    JSON.parse(Deno.readTextFileSync(`${directory}/tokenizer.json`)),
    { clean_up_tokenization_spaces: false },
  );
  const corpus = tokenizerGolden("mistral").texts.map(({ text }) => text)
    .filter((text) => !/<s>|<\/s>|<unk>/.test(text));
  const words = fc.array(fc.constantFrom(...corpus, " ", "  ", "é", "ab"), { minLength: 6 });
  fc.assert(fc.property(words, (parts) => {
    const text = parts.join("");
    assertEquals(tokenizer.encode(text), uncut.encode(text).ids);
  }));
});

Deno.test("encode() takes the longest of two added tokens that begin alike", async () => {
  const directory = await editedTokenizer("llama3", ({ added_tokens }) => {
    added_tokens.push({ id: 562, content: "<|eot_id|>>", normalized: false, special: true });
  });
  try {
    const tokenizer = await Tokenizer.load(directory);
    const options = { addSpecialTokens: false, allowSpecial: true };
    assertEquals(tokenizer.encode("<|eot_id|>>", options), [562]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("tokenText() shows a space, a part of a character and a control token", async () => {
  const mistral = await Tokenizer.load(tokenizerDirectory("mistral"));
  const [the] = mistral.encode("the", { addSpecialTokens: false });
  assertEquals(mistral.tokenText(the ?? -1), " the");
  const [byte] = mistral.encode("🙂", { addSpecialTokens: false }).slice(1);
  assertEquals(mistral.tokenBytes(byte ?? -1), Uint8Array.of(0xf0));
  assertEquals(mistral.tokenText(byte ?? -1), "\ufffd");
  const llama = await Tokenizer.load(tokenizerDirectory("llama3"));
  assertEquals(llama.tokenText(llama.bosTokenId ?? -1), "<|begin_of_text|>");
});

Deno.test("encode() takes ill-formed UTF-16 as U+FFFD", async () => {
  const tokenizer = await Tokenizer.load(tokenizerDirectory("llama3"));
  assertEquals(tokenizer.encode("a\ud83d"), tokenizer.encode("a\ufffd"));
});

Deno.test("a merge that spells a control token does not make it from text", async () => {
  const directory = await editedTokenizer("mistral", ({ model }) => {
    model.vocab["<s"] = 682;
    model.merges.unshift(["<", "s"], ["<s", ">"]);
  });
  try {
    const tokenizer = await Tokenizer.load(directory);
    const ids = tokenizer.encode("a<s>b", { addSpecialTokens: false });
    assert(!ids.includes(tokenizer.bosTokenId ?? -1));
    assertEquals(tokenizer.decode(ids), "a<s>b");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("a turn marker that is not flagged special stays text in text, and is shown by decode()", async () => {
  const directory = await editedTokenizer("llama3", ({ added_tokens }) => {
    added_tokens.push({ id: 562, content: "<｜User｜>", normalized: false, special: false });
  });
  try {
    const tokenizer = await Tokenizer.load(directory);
    assert(!tokenizer.encode("<｜User｜>").includes(562));
    assertEquals(
      tokenizer.encode("<｜User｜>", { addSpecialTokens: false, allowSpecial: true }),
      [562],
    );
    assertEquals(tokenizer.decode([562]), "<｜User｜>");
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("added tokens strip the white space they are told to and respect word edges", async () => {
  const directory = await editedTokenizer("qwen2", ({ added_tokens }) => {
    const flags = { normalized: false, special: true, lstrip: false, rstrip: false };
    added_tokens.push(
      { ...flags, id: 541, content: "<left>", lstrip: true },
      { ...flags, id: 542, content: "<right>", rstrip: true },
      { ...flags, id: 543, content: "word", single_word: true },
    );
  });
  try {
    const tokenizer = await Tokenizer.load(directory);
    const encode = (text: string) => tokenizer.encode(text, { allowSpecial: true });
    assertEquals(encode("a  <left> b"), [...encode("a"), 541, ...encode(" b")]);
    assertEquals(encode("a <right>  b"), [...encode("a "), 542, ...encode("b")]);
    assertEquals(encode("a word"), [...encode("a "), 543]);
    assert(!encode("a wordy").includes(543));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("add_bos_token and add_eos_token of tokenizer_config.json replace the post-processor", async () => {
  const directory = await editedTokenizer("mistral", (_tokenizer, config) => {
    config.add_bos_token = false;
    config.add_eos_token = true;
  });
  try {
    const tokenizer = await Tokenizer.load(directory);
    const ids = tokenizer.encode("Hello");
    assertEquals([ids.at(0) === tokenizer.bosTokenId, ids.at(-1)], [
      false,
      tokenizer.eosTokenIds[0],
    ]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("load() names the file and what is wrong with it", async () => {
  const empty = await Deno.makeTempDir();
  const broken: [string, (t: { [key: string]: unknown }, c: { [key: string]: unknown }) => void][] =
    [
      ["tokenizer.json: model.type", (t) => t.model = { type: "Unigram" }],
      ["tokenizer.json: decoder", (t) => t.decoder = { type: "WordPiece" }],
      ["tokenizer.json: added_tokens.0.id", (t) => t.added_tokens = [{ id: -1, content: "x" }]],
      [
        'tokenizer.json to be complete, received one where Tokenizer must contain a "normalizer"',
        (t) => delete t.normalizer,
      ],
      ["tokenizer_config.json: bos_token", (_, c) => c.bos_token = 7],
      ['the eos_token, received none "<nowhere>"', (_, c) => c.eos_token = "<nowhere>"],
    ];
  try {
    await assertRejects(
      () => Tokenizer.load(empty),
      Deno.errors.NotFound,
      `${empty}/tokenizer.json`,
    );
    await Deno.writeTextFile(`${empty}/tokenizer.json`, "version https://git-lfs");
    await assertRejects(
      () => Tokenizer.load(empty),
      SyntaxError,
      `${empty}/tokenizer.json is not JSON, received "version https://git-lfs"`,
    );
    for (const [message, edit] of broken) {
      const directory = await editedTokenizer("llama3", edit);
      await assertRejects(() => Tokenizer.load(directory), TypeError, message);
      await Deno.remove(directory, { recursive: true });
    }
  } finally {
    await Deno.remove(empty, { recursive: true });
  }
});
