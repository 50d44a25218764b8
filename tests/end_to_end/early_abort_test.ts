import { assert, assertEquals, assertMatch } from "@std/assert";
import { startServer } from "../support/server.ts";

Deno.test("with early abort, who would wait too long gets 503 with Retry-After, streams too; who runs goes on", async () => {
  const args = ["--policy", "vtc,abort", "--slo-seconds", "0.2", "--max-running", "1"];
  await using server = await startServer({ args });
  const ask = (body: object) =>
    fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({
        model: "reverse",
        messages: [{ role: "user", content: "stone" }],
        temperature: 0,
        ...body,
      }),
    });
  // The only place in the batch, until it has all its tokens.
  const long = await ask({ stream: true, max_tokens: 480, ignore_eos: true });
  assertEquals(long.status, 200);
  const text = long.text();
  // Both at once: on a GPU the place is free again soon.
  const shed = [true, false].map((stream) => ask({ stream, max_tokens: 4 }));
  for (const response of await Promise.all(shed)) {
    assertEquals(response.status, 503);
    assert(Number(response.headers.get("retry-after")) > 0);
    const { error } = await response.json();
    assertEquals([error.type, error.code], ["server_error", "unavailable"]);
    assertMatch(error.message, /waited \d+\.\d s, and the first token is to come within 0\.2 s/);
  }
  const aborts = async () => {
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    return Number(/^chorus_aborts_total (\d+)$/m.exec(metrics)?.[1]);
  };
  // The engine tells its load every 100 ms.
  while (await aborts() < 2) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assertEquals(await aborts(), 2);
  assertMatch(await text, /"finish_reason":"length".*data: \[DONE\]\s*$/s);
});
