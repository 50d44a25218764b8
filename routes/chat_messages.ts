import { z } from "@hono/zod-openapi";
import type { ChatMessage } from "../actors/request_router/protocol.ts";
import { notBuilt, notBuiltList } from "./request_params.ts";

const TextPart = z.strictObject({ type: z.literal("text"), text: z.string() });
const Content = z.union([z.string(), z.array(TextPart).min(1)], {
  error: "expected a string or a list of {type: 'text', text} parts; others are not supported",
});

/** One message of a conversation, text only. The rest is what answers carry empty and clients send back. */
export const Message = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: Content,
  name: z.string().nullish(),
  refusal: z.null().optional(),
  tool_calls: notBuiltList("tool_calls"),
  function_call: notBuilt("function_call"),
  audio: notBuilt("audio"),
  annotations: notBuiltList("annotations"),
}).openapi("ChatMessage");

/** Parts are joined; `developer` is the newer word for `system`, which is what chat templates know. */
export function chatMessage({ role, content, name }: z.infer<typeof Message>): ChatMessage {
  const text = typeof content === "string" ? content : content.map((part) => part.text).join("");
  return {
    role: role === "developer" ? "system" : role,
    content: text,
    ...(typeof name === "string" && { name }),
  };
}
