import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { OutputEnd } from "../../../actors/batch_former/protocol.ts";
import { TextStream } from "../../../actors/request_router/text_stream.ts";
import { Tokenizer } from "../../../models/tokenizer.ts";
import { tokenizerDirectory, TOKENIZERS } from "../../support/tokenizer_goldens.ts";

const llama3 = await Tokenizer.load(tokenizerDirectory("llama3"));
const length: OutputEnd = { kind: "finished", reason: "length" };
const stopped: OutputEnd = { kind: "finished", reason: "stop" };
const made = (tokens: readonly number[]) => tokens.map((token) => ({ token, logprobs: null }));
const plain = (text: string) => llama3.encode(text, { addSpecialTokens: false });

for (const name of TOKENIZERS) {
  const tokenizer = await Tokenizer.load(tokenizerDirectory(name));
  Deno.test(`TextStream gives ${name}'s decoding of any tokens, however they arrive`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(fc.nat(tokenizer.vocabSize - 1), { maxLength: 4 }), { maxLength: 20 }),
        (steps) => {
          const stream = new TextStream(tokenizer, { stop: [], continues: false });
          let text = "";
          const tokens: number[] = [];
          for (const [i, step] of steps.entries()) {
            const piece = stream.push(made(step), i === steps.length - 1 ? length : null);
            text += piece.text;
            tokens.push(...piece.tokens.map((each) => each.token));
          }
          assertEquals(tokens, steps.flat());
          assertEquals(text, tokenizer.decode(steps.flat()));
          assertEquals(stream.completionTokens, tokens.length);
        },
      ),
      { numRuns: 50 },
    );
  });
}

Deno.test("TextStream ends with the text before a stop string, and counts no token after it", () => {
  const stream = new TextStream(llama3, { stop: ["lo w"], continues: false });
  const tokens = plain("hello world and more");
  const pieces = tokens.map((token) => stream.push(made([token]), null));
  const at = pieces.findIndex((piece) => piece.reason !== null);
  assertEquals(pieces[at]?.reason, "stop");
  assertEquals(pieces.slice(0, at + 1).map((piece) => piece.text).join(""), "hel");
  const before = new TextStream(llama3, { stop: ["lo w"], continues: false });
  assertEquals(before.push(made(tokens), length).reason, "stop");
  assertEquals(before.completionTokens, at + 1);
});

Deno.test("TextStream shows tokens at once while the text that may become a stop string waits", () => {
  const stream = new TextStream(llama3, {
    stop: ["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"],
    continues: false,
  });
  const tokens = plain("a".repeat(20));
  const piece = stream.push(made(tokens), null);
  assertEquals([piece.text, piece.tokens.length], ["", tokens.length]);
  assertEquals(stream.push([], length).text, "a".repeat(20));
});

Deno.test("TextStream counts the token that ends a generation, and does not show it", () => {
  const stream = new TextStream(llama3, { stop: [], continues: false });
  const [eos = -1] = llama3.eosTokenIds;
  const piece = stream.push(made([...plain("hi"), eos]), stopped);
  assertEquals([piece.text, piece.reason], ["hi", "stop"]);
  assertEquals(piece.tokens.length, plain("hi").length);
  assertEquals(stream.completionTokens, plain("hi").length + 1);
});

Deno.test("TextStream finds a stop string that only the end of the text completes", () => {
  const half = plain("é").slice(0, 1);
  assert(llama3.decode(half) === "\ufffd", "the fixture spells é in two tokens");
  const stream = new TextStream(llama3, { stop: ["\ufffd"], continues: false });
  const piece = stream.push(made([...plain("x"), ...half]), length);
  assertEquals([piece.text, piece.reason], ["x", "stop"]);
});

Deno.test("TextStream reports log probabilities by token, -9999 where JSON lost an infinity", () => {
  const [token = 0, other = 0] = plain("hi there");
  const stream = new TextStream(llama3, { stop: [], continues: false });
  const lost = JSON.parse(JSON.stringify(-Infinity));
  const logprobs = { logprob: -0.5, top: [[token, -0.5], [other, lost]] as const };
  const [shown] = stream.push([{ token, logprobs }], null).tokens;
  const bytes = (id: number) => [...llama3.tokenBytes(id)];
  assertEquals(shown, {
    token,
    text: llama3.tokenText(token),
    bytes: bytes(token),
    logprobs: {
      logprob: -0.5,
      top: [
        { token, text: llama3.tokenText(token), bytes: bytes(token), logprob: -0.5 },
        { token: other, text: llama3.tokenText(other), bytes: bytes(other), logprob: -9999 },
      ],
    },
  });
});
