/// <reference lib="deno.worker" />
// Encodes long prompts beside the front's own thread; its name is the model's directory.
import { ChatTemplate } from "../../models/chat_template.ts";
import { Tokenizer } from "../../models/tokenizer.ts";
import { openPort, type Port } from "../port_channel.ts";
import type { LongPrompt, LongPromptEncoded } from "./paced_prompt_encoder.ts";
import { promptEncoder } from "./prompt_encoder.ts";

const port = self as unknown as Port;
const link = openPort<LongPromptEncoded, LongPrompt>(port, { capacity: 16 });
const encoder = promptEncoder(
  await Tokenizer.load(self.name),
  await ChatTemplate.load(self.name),
);
for await (const { id, prompt } of link.receiver) {
  await link.sender.send({ id, encoding: encoder.encode(prompt) });
}
