import { assert, assertEquals } from "@std/assert";
import { eventStream } from "../../routes/sse.ts";
import { saying, ScriptedRouter } from "../support/scripted_router.ts";
import { openEdge, post, strictly } from "./edge_fixture.ts";

const chunks = async (response: Response) =>
  await Array.fromAsync(
    (response.body ?? new ReadableStream<Uint8Array<ArrayBuffer>>())
      .pipeThrough(new TextDecoderStream()),
  );

strictly(
  "events that are ready together are one write, and [DONE] goes with the last",
  async () => {
    const batches = [[{ a: 1 }, { b: "\n\n" }], [{ c: 3 }]];
    const response = eventStream({
      next() {
        const values = batches.shift() ?? [];
        return Promise.resolve({ values, done: batches.length === 0 });
      },
      cancel() {},
    });
    assertEquals(await chunks(response), [
      'data: {"a":1}\n\ndata: {"b":"\\n\\n"}\n\n',
      'data: {"c":3}\n\ndata: [DONE]\n\n',
    ]);
    assertEquals(response.headers.get("cache-control"), "no-cache");
  },
);

strictly("a body that nobody reads asks its feed for nothing", async () => {
  let asked = 0;
  let cancelled = 0;
  const { body } = eventStream({
    next: () => Promise.resolve({ values: [++asked], done: false }),
    cancel: () => cancelled++,
  });
  await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals(asked, 0);
  const reader = body?.getReader();
  await reader?.read();
  assertEquals(asked, 1);
  await reader?.cancel();
  assertEquals([asked, cancelled], [1, 1]);
});

strictly("a cancel while the feed is still waiting writes nothing after it", async () => {
  const { promise, resolve } = Promise.withResolvers<{ values: unknown[]; done: boolean }>();
  const { body } = eventStream({ next: () => promise, cancel() {} });
  const reader = body?.getReader();
  const reading = reader?.read();
  await reader?.cancel();
  resolve({ values: [1], done: true });
  assertEquals((await reading)?.done, true);
});

strictly("tokens that wait in the channel leave in few writes", async () => {
  const words = Array.from({ length: 60 }, (_, i) => `${i} `);
  const { app } = openEdge(new ScriptedRouter(() => saying(words), 64));
  const ask = { model: "demo", prompt: "x", stream: true };
  const response = await app.request("/v1/completions", post(ask));
  await new Promise((resolve) => setTimeout(resolve, 20));
  const writes = await chunks(response);
  const events = writes.join("").split("\n\n").length - 1;
  assertEquals(events, words.length + 2);
  assert(writes.length <= 3, `${writes.length} writes`);
});
