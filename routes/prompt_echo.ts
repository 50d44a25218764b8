import type { Prompt, StreamToken } from "../actors/request_router/protocol.ts";

/** The text of echoed prompts: as the client wrote it, or decoded where the prompt came as tokens. */
export class PromptEcho {
  readonly #decoders = new Map<number, TextDecoder>();
  readonly #begun = new Set<number>();

  /** Choice `index` belongs to prompt floor(index / n). */
  constructor(private readonly prompts: readonly Prompt[], private readonly n: number) {}

  /** Text of the next part of the prompt of choice `index`; a text prompt comes whole with its first part. */
  next(index: number, tokens: readonly StreamToken[]): string {
    const prompt = this.prompts[Math.floor(index / this.n)];
    if (prompt?.kind === "text") {
      if (this.#begun.has(index)) return "";
      this.#begun.add(index);
      return prompt.text;
    }
    let decoder = this.#decoders.get(index);
    if (!decoder) this.#decoders.set(index, decoder = new TextDecoder());
    return tokens.map(({ bytes }) => decoder.decode(Uint8Array.from(bytes), { stream: true }))
      .join("");
  }
}
