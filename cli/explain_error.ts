import { messageOf } from "../actors/message_of.ts";

/** What the operator is told of an error that ends the process. */
export function explainError(error: unknown): string {
  if (error instanceof Deno.errors.NotCapable && error.message.includes("all access")) {
    const [, path = "a path"] = /"(.*?)"/.exec(error.message) ?? [];
    return "Cannot read the file: Deno lets only a process with all permissions read below /dev, " +
      `/proc and /sys (put it elsewhere), received ${path}`;
  }
  return messageOf(error);
}
