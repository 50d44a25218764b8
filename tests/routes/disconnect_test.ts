import { assert, assertEquals } from "@std/assert";
import type { StreamEvent } from "../../actors/request_router/protocol.ts";
import { said, saying, ScriptedRouter } from "../support/scripted_router.ts";
import { openEdge, post, serving, strictly } from "./edge_fixture.ts";

const PATH = "/v1/chat/completions";
const ask = (rest: object = {}) => ({
  model: "demo",
  messages: [{ role: "user", content: "x" }],
  ...rest,
});
const later = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Says tokens until its reader goes; `text` is said each time, after a pause. */
async function* endlessly(text = "x", pauseMs = 1): AsyncGenerator<StreamEvent> {
  yield { kind: "started", promptTokens: [1] };
  while (true) {
    await later(pauseMs);
    yield said(text);
  }
}

/** Says that it started, and then nothing for as long as its reader stays. */
function silent() {
  const router: ScriptedRouter = new ScriptedRouter(async function* () {
    yield { kind: "started", promptTokens: [1] } as const;
    await router.untilCancelled(1);
  });
  return router;
}

strictly("a client that leaves a stream cancels every choice of it", async () => {
  const edge = openEdge(new ScriptedRouter(() => endlessly()));
  await serving(edge, async (url) => {
    const client = new AbortController();
    const { signal } = client;
    const response = await fetch(url + PATH, post(ask({ stream: true, n: 3 }), { signal }));
    const reader = response.body?.getReader();
    await reader?.read();
    client.abort();
    await edge.router.untilCancelled(3);
    await reader?.closed.catch(() => {});
  });
  const ids = edge.router.submitted.map(({ id }) => id);
  assertEquals(edge.router.cancelled.toSorted(), ids.toSorted());
});

strictly("a client that leaves while nothing is said is noticed all the same", async () => {
  for (const stream of [true, false]) {
    const edge = openEdge(silent());
    await serving(edge, async (url) => {
      const client = new AbortController();
      const { signal } = client;
      const asking = fetch(url + PATH, post(ask({ stream }), { signal })).then((response) =>
        response.text()
      ).catch(() => null);
      while (edge.router.submitted.length === 0) await later(1);
      await later(10);
      client.abort();
      await edge.router.untilCancelled(1);
      assertEquals(await asking, null);
    });
    assertEquals(edge.router.cancelled.length, 1);
  }
});

strictly("a client that leaves before its request has begun cancels it", async () => {
  const router: ScriptedRouter = new ScriptedRouter(async function* () {
    await router.untilCancelled(1);
    yield* [];
  });
  const edge = openEdge(router);
  await serving(edge, async (url) => {
    const client = new AbortController();
    const { signal } = client;
    const asking = fetch(url + PATH, post(ask({ stream: true }), { signal })).catch(() => null);
    while (router.submitted.length === 0) await later(1);
    client.abort();
    await router.untilCancelled(1);
    assertEquals(await asking, null);
  });
});

strictly("a request that was answered to its end cancels nothing", async () => {
  const edge = openEdge();
  await serving(edge, async (url) => {
    for (const stream of [true, false]) {
      await (await fetch(url + PATH, post(ask({ stream })))).text();
    }
  });
  assertEquals(edge.router.cancelled, []);
});

strictly("a reader that stops holds back its own stream only", async () => {
  const block = "x".repeat(65536);
  const router = new ScriptedRouter(({ prompt }) =>
    prompt.kind === "text" ? endlessly(block, 0) : saying(["hel", "lo"])
  );
  const edge = openEdge(router);
  await serving(edge, async (url) => {
    const { hostname, port } = new URL(url);
    using lazy = await Deno.connect({ hostname, port: Number(port) });
    const body = JSON.stringify({ model: "demo", prompt: "x", stream: true });
    const head = `POST /v1/completions HTTP/1.1\r\nhost: chorus\r\n` +
      `content-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
    await lazy.write(new TextEncoder().encode(head + body));
    // Full when nothing more was taken for half a second.
    let before = -1;
    while (router.played !== before || before < 8) {
      before = router.played;
      await later(500);
    }
    // What the kernel's buffers swallow, 4 MiB a side, and nothing beyond.
    assert(before * block.length < 16 << 20, `${before} blocks were taken from the router`);
    const answer = await (await fetch(url + PATH, post(ask()))).json();
    assertEquals(answer.choices[0].message.content, "hello");
    assert(router.played <= before + 4);
  });
});
