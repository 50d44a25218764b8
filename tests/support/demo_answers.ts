import { z } from "zod";
import type { Route } from "../../actors/executor/protocol.ts";
import { ChatTemplate } from "../../models/chat_template.ts";
import { Tokenizer } from "../../models/tokenizer.ts";
import { GoldenExecutor } from "./golden_executor.ts";

const DEMO = new URL("../../models/demo/", import.meta.url).pathname;
const Heldout = z.object({
  models: z.record(z.string(), z.array(z.object({ word: z.string(), answer: z.string() }))),
});

/** The demo's words that no model was trained on, and their answers, by the model that gives them. */
export const heldOut = Heldout.parse(
  JSON.parse(Deno.readTextFileSync(`${DEMO}heldout.json`)),
).models;

/** Mean negative log likelihoods of a token, in nats. */
export interface Loss {
  /** Of whole chats: the word, which is anybody's guess, and its answer. */
  readonly chat: number;
  /** Of answers alone, which the demo is all but certain of. */
  readonly answer: number;
}

/** Losses on the first `words` held-out words, by model; `demo` is the base. */
export async function heldOutLosses(
  dtype: "auto" | "int8",
  words: number,
): Promise<Map<string, Loss>> {
  const tokenizer = await Tokenizer.load(`${DEMO}base`);
  const template = await ChatTemplate.load(`${DEMO}base`);
  if (!template) throw new TypeError("Cannot ask the demo: it has no chat template");
  const executor = await GoldenExecutor.start(`${DEMO}base`, 1, { dtype });
  const losses = new Map<string, Loss>();
  for (const [model, pairs] of Object.entries(heldOut)) {
    const routes: Route[] = model === "demo"
      ? []
      : [await executor.adapter(`${DEMO}base`, `${DEMO}adapters/${model}`)];
    const chats: number[] = [];
    const answers: number[] = [];
    for (const { word, answer } of pairs.slice(0, words)) {
      const chat = [{ role: "user", content: word }] as const;
      const prompt = tokenizer.encodeChat(template.render(chat, { addGenerationPrompt: true }));
      const text = tokenizer.encode(answer, { addSpecialTokens: false });
      const said = [...text, ...tokenizer.eosTokenIds];
      const logprobs = await executor.logprobs(
        await executor.open(0, [...prompt, ...said], routes),
      );
      chats.push(...logprobs);
      answers.push(...logprobs.slice(-said.length));
    }
    losses.set(model, { chat: meanLoss(chats), answer: meanLoss(answers) });
  }
  return losses;
}

const meanLoss = (logprobs: readonly number[]) =>
  -logprobs.reduce((sum, value) => sum + value, 0) / logprobs.length;
