import type { ChatTemplate } from "../../models/chat_template.ts";
import { ChatTemplateError } from "../../models/chat_template.ts";
import type { Tokenizer } from "../../models/tokenizer.ts";
import { messageOf } from "../message_of.ts";
import type { Prompt, RequestFailure } from "./protocol.ts";

export type Encoding =
  | { readonly kind: "encoded"; readonly tokens: readonly number[] }
  | { readonly kind: "refused"; readonly failure: RequestFailure };

/** Turns prompts into tokens: at once, or later, so that streams do not wait for it. */
export interface PromptEncoder {
  encode(prompt: Prompt): Encoding | Promise<Encoding>;
}

/** A tokenizer that throws is a bug, but one request's alone. */
export function broken(error: unknown): Encoding {
  const message = `Cannot tokenise the prompt: ${messageOf(error)}`;
  return { kind: "refused", failure: { kind: "internal", message, param: null } };
}

/** Encodes in this thread, with a model's own tokenizer and chat template (null: it has none). */
export function promptEncoder(
  tokenizer: Pick<Tokenizer, "encode" | "encodeChat">,
  template: Pick<ChatTemplate, "render"> | null,
): { encode(prompt: Prompt): Encoding } {
  const encode = (prompt: Prompt): readonly number[] => {
    switch (prompt.kind) {
      case "tokens":
        return prompt.tokens;
      case "text":
        return tokenizer.encode(prompt.text);
      case "chat":
        if (!template) throw new ChatTemplateError("Cannot chat: this model has no chat template");
        return tokenizer.encodeChat(
          template.render(prompt.messages, { addGenerationPrompt: true }),
        );
    }
  };
  return {
    encode: (prompt) => {
      try {
        return { kind: "encoded", tokens: encode(prompt) };
      } catch (error) {
        if (!(error instanceof ChatTemplateError)) return broken(error);
        const failure = { kind: "invalid", message: error.message, param: "messages" } as const;
        return { kind: "refused", failure };
      }
    },
  };
}
