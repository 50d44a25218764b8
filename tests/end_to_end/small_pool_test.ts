import { assert, assertEquals } from "@std/assert";
import type { ErrorBody } from "../../routes/problem.ts";
import { startServer } from "../support/server.ts";

Deno.test("what a small pool cannot hold beside the request's adapter is a 400, and what it can runs to its end", async () => {
  await using server = await startServer({ args: ["--pool-bytes", "2400KiB"] });
  const ask = async (body: object) => {
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ messages: [{ role: "user", content: "a".repeat(60) }], ...body }),
    });
    return { status: response.status, body: await response.json() };
  };
  const { status, body } = await ask({ model: "sort", max_tokens: 400 });
  const { error } = body as ErrorBody;
  assertEquals([status, error.param, error.code], [400, "max_tokens", "context_length_exceeded"]);
  assert(error.message.includes("what the page pool can hold beside adapters"), error.message);
  // As much as there is, which these answers do not end before.
  const most = Number(/at most (\d+) tokens/.exec(error.message)?.[1]);
  const whole = await ask({ model: "sort", ignore_eos: true });
  assertEquals(whole.status, 200, JSON.stringify(whole.body));
  assertEquals(whole.body.usage.total_tokens, most);
});
