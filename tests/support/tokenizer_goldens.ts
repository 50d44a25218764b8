import type { ChatMessage } from "../../models/chat_template.ts";

/** What Python gave for one fixture tokenizer; tests/fixtures/make_tokenizers.py says how. */
export interface TokenizerGolden {
  readonly bosTokenId: number | null;
  readonly eosTokenId: number;
  readonly vocabSize: number;
  readonly texts: readonly {
    readonly text: string;
    readonly ids: number[];
    readonly decoded: string;
    readonly literal: number[];
    readonly decodedLiteral: string;
  }[];
  readonly sequences: readonly { readonly ids: number[]; readonly decoded: string }[];
  readonly chats: readonly {
    readonly messages: ChatMessage[];
    readonly addGenerationPrompt: boolean;
    readonly text: string;
    readonly ids: number[];
  }[];
  readonly hostile: readonly {
    readonly messages: ChatMessage[];
    readonly text: string;
    readonly ids: number[];
  }[];
}

/** The fixture tokenizers: Llama-3 and Qwen2 style byte-level, Mistral style (two layouts). */
export const TOKENIZERS = ["llama3", "qwen2", "mistral", "metaspace"] as const;

/** Directory of a fixture tokenizer. */
export function tokenizerDirectory(name: (typeof TOKENIZERS)[number]): string {
  return new URL(`../fixtures/tokenizers/${name}`, import.meta.url).pathname;
}

/** Golden values of a fixture tokenizer. */
export function tokenizerGolden(name: (typeof TOKENIZERS)[number]): TokenizerGolden {
  return JSON.parse(Deno.readTextFileSync(`${tokenizerDirectory(name)}/golden.json`));
}

/** A copy of a fixture tokenizer's directory, with both files' JSON edited; the caller removes it. */
export async function editedTokenizer(
  name: (typeof TOKENIZERS)[number],
  edit: (tokenizer: Json, config: Json) => void,
): Promise<string> {
  const [tokenizer, config] = ["tokenizer.json", "tokenizer_config.json"].map((file) =>
    JSON.parse(Deno.readTextFileSync(`${tokenizerDirectory(name)}/${file}`))
  );
  edit(tokenizer, config);
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/tokenizer.json`, JSON.stringify(tokenizer));
  await Deno.writeTextFile(`${directory}/tokenizer_config.json`, JSON.stringify(config));
  return directory;
}

// deno-lint-ignore no-explicit-any -- a checkpoint's JSON before anything has checked it
type Json = any;
