import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { engineProcesses } from "../support/engine_processes.ts";
import { startServer, type TestServer } from "../support/server.ts";

/** An answer of hundreds of tokens: the demo repeats a long word, and never finds the end of this one. */
const LONG = "a".repeat(60);

function complete(server: TestServer, stream: boolean): Promise<Response> {
  return fetch(`${server.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "demo",
      messages: [{ role: "user", content: LONG }],
      max_tokens: 100,
      stream,
    }),
  });
}

/** Holds the engine still: a stream that has begun cannot end meanwhile, however fast the machine. */
async function pauseEngine(server: TestServer): Promise<() => void> {
  const [engine] = await engineProcesses(server.child.pid);
  assert(engine !== undefined);
  Deno.kill(engine, "SIGSTOP");
  return () => Deno.kill(engine, "SIGCONT");
}

async function health(server: TestServer): Promise<{ code: number; body: string }> {
  const response = await fetch(`${server.url}/health`);
  return { code: response.status, body: await response.text() };
}

Deno.test("/health is 503 until the engine is there, and requests are refused as not ready", async () => {
  await using server = await startServer({ untilListening: true });
  const early = await health(server);
  assertEquals(early.code, 503);
  assertStringIncludes(early.body, "the engine is starting");
  const refused = await complete(server, false);
  assertEquals(refused.status, 503);
  await refused.body?.cancel();
  assertEquals(await server.stop(), 0);
});

Deno.test("SIGTERM lets the stream that runs finish, refuses others, and ends with 0", async () => {
  await using server = await startServer({ args: ["--drain-seconds", "300"] });
  assertEquals(await health(server), { code: 200, body: '{"status":"ok"}' });
  const goOn = await pauseEngine(server);
  const stream = await complete(server, true);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert(reader);
  let text = (await reader.read()).value ?? "";

  const stopped = server.stop();
  while (!server.lines.some((line) => line.startsWith("SIGTERM"))) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const refused = await complete(server, false);
  assertEquals(refused.status, 503);
  await refused.body?.cancel();
  assertMatch((await health(server)).body, /shutting down/);
  goOn();
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
  assert(text.endsWith("data: [DONE]\n\n"), text.slice(-200));
  assertMatch(text, /"finish_reason":"(stop|length)"/);
  assertEquals(await stopped, 0);
});

Deno.test("a stream that is not done at the deadline ends with an error, and the process with 0", async () => {
  await using server = await startServer({ args: ["--drain-seconds", "0"] });
  const goOn = await pauseEngine(server);
  const stream = await complete(server, true);
  const reader = stream.body?.pipeThrough(new TextDecoderStream()).getReader();
  assert(reader);
  let text = (await reader.read()).value ?? "";
  const stopped = server.stop();
  for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
  goOn();
  assertStringIncludes(text, "shutting down");
  assertEquals(await stopped, 0);
});

Deno.test("a client that never finishes its request does not keep the process", async () => {
  await using server = await startServer({ untilListening: true });
  using client = await Deno.connect({ port: Number(new URL(server.url).port) });
  const half = "POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{";
  await client.write(new TextEncoder().encode(half));
  assertEquals(await server.stop(), 0);
});
