import { Template } from "@huggingface/jinja";
import { ControlMarks, type RenderedChat, unusedMark } from "./control_marks.ts";
import { controlTokens, namedTokens } from "./special_tokens.ts";
import { readText, readTokenizerFiles } from "./tokenizer_files.ts";

/** A message of a conversation; text parts are joined without anything between them. */
export interface ChatMessage {
  readonly role: string;
  readonly content: string | readonly { readonly type: "text"; readonly text: string }[];
  /** Who speaks, for templates that tell participants of one role apart; most do not. */
  readonly name?: string;
}

/** A conversation that the template refuses: the client's mistake, HTTP 400. */
export class ChatTemplateError extends Error {
  override readonly name = "ChatTemplateError";
}

// A role becomes part of control tokens in some templates (`<|user|>`), so it cannot be free text.
const ROLES = new Set(["system", "developer", "user", "assistant", "tool"]);

/** A model's chat template, parsed once. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #marks: ControlMarks;

  /** `named` are the special tokens the template may name (`bos_token`). Throws SyntaxError. */
  constructor(
    readonly source: string,
    readonly named: Readonly<Record<string, string>>,
    controlTokens: readonly string[],
  ) {
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new SyntaxError(
        `Cannot parse the chat template: ${reason(cause)}, received ${
          JSON.stringify(source.slice(0, 80))
        }`,
        { cause },
      );
    }
    this.#marks = new ControlMarks(controlTokens);
  }

  /**
   * Reads chat_template.jinja, else `chat_template` of tokenizer_config.json (a string, or the one named
   * "default" of a list). Null where the model has none.
   */
  static async load(modelDirectory: string): Promise<ChatTemplate | null> {
    const files = await readTokenizerFiles(modelDirectory);
    const configured = files.config.chat_template;
    const source = await readText(`${modelDirectory}/chat_template.jinja`) ??
      (Array.isArray(configured)
        ? configured.find((each) => each.name === "default")?.template
        : configured);
    if (source === null || source === undefined) return null;
    const control = controlTokens(files).map((token) => token.content);
    return new ChatTemplate(source, namedTokens(files), control);
  }

  /**
   * Renders the conversation; `addGenerationPrompt` opens the assistant's turn at the end. Give the result to
   * Tokenizer.encodeChat. Throws ChatTemplateError for messages that are not text or that the template refuses.
   */
  render(
    messages: readonly ChatMessage[],
    options: { readonly addGenerationPrompt: boolean },
  ): RenderedChat {
    const plain = messages.map(plainMessage);
    const texts = plain.flatMap(({ content, name = "" }) => [content, name]);
    const mark = unusedMark([this.source, ...texts]);
    if (mark === null) {
      throw new ChatTemplateError(
        "Cannot render the chat template: expected messages without one of the noncharacters or private-use " +
          "characters at least, received all of them",
      );
    }
    const guarded = plain.map(({ role, content, name }) => ({
      role,
      content: this.#marks.set(content, mark),
      ...(name !== undefined && { name: this.#marks.set(name, mark) }),
    }));
    let marked: string;
    try {
      marked = this.#template.render({
        ...this.named,
        messages: guarded,
        tools: null,
        documents: null,
        add_generation_prompt: options.addGenerationPrompt,
      });
    } catch (cause) {
      throw new ChatTemplateError(`Cannot render the chat template: ${reason(cause)}`, { cause });
    }
    return { text: marked.replaceAll(mark, ""), marked, mark };
  }
}

interface PlainMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
}

function plainMessage({ role, content, name }: ChatMessage, index: number): PlainMessage {
  const named = name !== undefined && { name: name.toWellFormed() };
  if (!ROLES.has(role)) {
    throw refused(`messages[${index}].role`, `one of ${[...ROLES].join(", ")}`, role);
  }
  if (typeof content === "string") return { role, content: content.toWellFormed(), ...named };
  if (!Array.isArray(content)) {
    throw refused(`messages[${index}].content`, "a string or a list of text parts", content);
  }
  const texts = content.map((part: unknown, at) => {
    const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown };
    if (type === "text" && typeof text === "string") return text;
    throw refused(`messages[${index}].content[${at}]`, "a part of type text", part);
  });
  return { role, content: texts.join("").toWellFormed(), ...named };
}

function refused(where: string, expected: string, received: unknown): ChatTemplateError {
  const shown = JSON.stringify(received)?.slice(0, 80);
  return new ChatTemplateError(
    `Cannot render the chat template: expected ${where} to be ${expected}, received ${shown}`,
  );
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
