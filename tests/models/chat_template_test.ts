import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type ChatMessage, ChatTemplate, ChatTemplateError } from "../../models/chat_template.ts";
import { Tokenizer } from "../../models/tokenizer.ts";
import {
  editedTokenizer,
  tokenizerDirectory,
  tokenizerGolden,
  TOKENIZERS,
} from "../support/tokenizer_goldens.ts";

const prompt = { addGenerationPrompt: true };

async function load(directory: string): Promise<ChatTemplate> {
  const template = await ChatTemplate.load(directory);
  assert(template, `no chat template in ${directory}`);
  return template;
}

for (const name of TOKENIZERS) {
  const golden = tokenizerGolden(name);
  const tokenizer = await Tokenizer.load(tokenizerDirectory(name));
  const template = await load(tokenizerDirectory(name));

  Deno.test(`render() gives transformers' text and encodeChat() its ids (${name})`, () => {
    for (const { messages, addGenerationPrompt, text, ids } of golden.chats) {
      const rendered = template.render(messages, { addGenerationPrompt });
      assertEquals(rendered.text, text);
      assertEquals(tokenizer.encodeChat(rendered), ids, text);
    }
  });

  Deno.test(`control tokens in messages are rendered unchanged and encoded as text (${name})`, () => {
    for (const { messages, text, ids } of golden.hostile) {
      const rendered = template.render(messages, prompt);
      assertEquals(rendered.text, text);
      assertEquals(tokenizer.encodeChat(rendered), ids, text);
    }
  });

  Deno.test(`no content makes, breaks or moves a control token (${name})`, () => {
    const control = Array.from({ length: tokenizer.vocabSize }, (_, id) => id)
      .filter((id) => tokenizer.isSpecial(id)).map((id) => tokenizer.tokenText(id));
    const shards = control.flatMap((
      token,
    ) => [token, token.slice(0, 1), token.slice(1), token.slice(-2), token.slice(0, -1)]);
    const content = fc.array(fc.constantFrom(...shards, " ", "\n", "x", "\ufdd0", "\ue000"), {
      maxLength: 8,
    })
      .map((parts) => parts.join(""));
    const specials = (messages: ChatMessage[]) =>
      tokenizer.encodeChat(template.render(messages, prompt)).filter((id) =>
        tokenizer.isSpecial(id)
      );
    const talk = (contents: string[]): ChatMessage[] =>
      contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
    const plain = specials(talk(["a", "b", "c"]));
    fc.assert(
      fc.property(content, content, content, (...contents) => {
        const rendered = template.render(talk(contents), prompt);
        const ids = tokenizer.encodeChat(rendered);
        assertEquals(ids.filter((id) => tokenizer.isSpecial(id)), plain);
        const bytes = Uint8Array.from(ids.flatMap((id) => [...tokenizer.tokenBytes(id)]));
        const text = new TextDecoder().decode(bytes);
        // The SentencePiece-style tokenizer puts a space before each piece of text.
        const squeeze = (s: string) => name.startsWith("m") ? s.replaceAll(" ", "") : s;
        assertEquals(squeeze(text), squeeze(rendered.text));
        for (const each of contents) assert(rendered.text.includes(each.trim()));
      }),
      { numRuns: 300 },
    );
  });
}

Deno.test("two messages that a template sets side by side do not make a control token", async () => {
  const tokenizer = await Tokenizer.load(tokenizerDirectory("llama3"));
  const source = "<{% for message in messages %}{{ message.content | trim }}{% endfor %}>";
  const template = new ChatTemplate(source, {}, ["<|eot_id|>"]);
  for (const contents of [["<", "|eot_id|>"], ["<|eot_id|", " >"], ["|eot_id|>"], ["<|eot_id|"]]) {
    const messages = contents.map((content) => ({ role: "user", content }));
    const rendered = template.render(messages, prompt);
    assertEquals(rendered.text, `<${contents.join("").replace(" ", "")}>`);
    const ids = tokenizer.encodeChat(rendered);
    assert(!ids.some((id) => tokenizer.isSpecial(id)), rendered.text);
  }
});

Deno.test("messages with every character that could mark them are the client's mistake", () => {
  const range = (low: number, high: number) =>
    String.fromCharCode(...Array.from({ length: high - low + 1 }, (_, i) => low + i));
  const all = range(0xe000, 0xf8ff) + range(0xfdd0, 0xfdef);
  const template = new ChatTemplate("{{ messages[0].content }}", {}, ["<|eot_id|>"]);
  const render = (content: string) => template.render([{ role: "user", content }], prompt).text;
  assertEquals(render(all.slice(1)), all.slice(1));
  assertThrows(() => render(all), ChatTemplateError, "received all of them");
});

Deno.test("a template sees who speaks, as text", async () => {
  const tokenizer = await Tokenizer.load(tokenizerDirectory("llama3"));
  const source = "{% for m in messages %}{{ m.name if m.name is defined else m.role }}: " +
    "{{ m.content }};{% endfor %}";
  const template = new ChatTemplate(source, {}, ["<|eot_id|>"]);
  const named = { role: "user", content: "hi", name: "<|eot_id|>" };
  const rendered = template.render([named, { role: "user", content: "ho" }], prompt);
  assertEquals(rendered.text, "<|eot_id|>: hi;user: ho;");
  assert(!tokenizer.encodeChat(rendered).some((id) => tokenizer.isSpecial(id)));
});

Deno.test("a template sees that there are no tools and no documents", () => {
  const source =
    "{% if tools is none and documents is none and bos_token is not defined %}none{% endif %}";
  const template = new ChatTemplate(source, {}, []);
  assertEquals(template.render([], prompt).text, "none");
});

Deno.test("render() joins text parts and refuses any other content", async () => {
  const template = await load(tokenizerDirectory("llama3"));
  const part = (text: string) => ({ type: "text", text }) as const;
  assertEquals(
    template.render([{ role: "user", content: [part("re"), part("verse")] }], prompt),
    template.render([{ role: "user", content: "reverse" }], prompt),
  );
  const image = [part("x"), { type: "image_url", image_url: { url: "data:," } }];
  for (
    const [content, where] of [
      [null, "messages[1].content to be a string or a list of text parts, received null"],
      [12, "messages[1].content to be a string or a list of text parts, received 12"],
      [image, 'messages[1].content[1] to be a part of type text, received {"type":"image_url"'],
    ] as const
  ) {
    const messages = [{ role: "user", content: "a" }, { role: "user", content }];
    assertThrows(
      () => template.render(messages as ChatMessage[], prompt),
      ChatTemplateError,
      `Cannot render the chat template: expected ${where}`,
    );
  }
});

Deno.test("a role that could spell a control token is refused", async () => {
  const template = await load(tokenizerDirectory("llama3"));
  assertThrows(
    () => template.render([{ role: "user<|end_header_id|>", content: "a" }], prompt),
    ChatTemplateError,
    "expected messages[0].role to be one of system, developer, user, assistant, tool",
  );
});

Deno.test("what the template raises becomes a ChatTemplateError with its words", async () => {
  const template = await load(tokenizerDirectory("mistral"));
  assertThrows(
    () => template.render([{ role: "assistant", content: "a" }], prompt),
    ChatTemplateError,
    "Cannot render the chat template: After the optional system message, conversation roles must alternate",
  );
});

Deno.test("chat_template.jinja goes before tokenizer_config.json, and no template at all is null", async () => {
  const directory = await editedTokenizer("qwen2", (_tokenizer, config) => {
    delete config.chat_template;
  });
  try {
    assertEquals(await ChatTemplate.load(directory), null);
    await Deno.writeTextFile(
      `${directory}/chat_template.jinja`,
      "{{ eos_token }}{{ messages[0].content }}",
    );
    const rendered = (await load(directory)).render([{ role: "user", content: "hi" }], prompt);
    assertEquals(rendered.text, "<|im_end|>hi");
    await Deno.writeTextFile(`${directory}/chat_template.jinja`, "{% if %}");
    await assertRejects(
      () => ChatTemplate.load(directory),
      SyntaxError,
      "Cannot parse the chat template",
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
