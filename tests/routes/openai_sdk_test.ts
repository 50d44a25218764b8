import { assert, assertEquals, assertRejects } from "@std/assert";
import OpenAI from "openai";
import type { StreamEvent } from "../../actors/request_router/protocol.ts";
import { said, ScriptedRouter } from "../support/scripted_router.ts";
import { type Edge, openEdge, serving, strictly } from "./edge_fixture.ts";

const messages = [{ role: "user" as const, content: "stone" }];
const key = "a-key";

/** Runs `use` with OpenAI's own client on an edge that wants a key. */
const withClient = (edge: Edge, use: (client: OpenAI) => Promise<void>, apiKey = key) =>
  serving(edge, (url) => use(new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })));
const locked = (router?: ScriptedRouter) => openEdge(router, { apiKeys: [key] });

strictly(
  "openai: chat, whole and streamed, with usage",
  () =>
    withClient(locked(), async (client) => {
      const whole = await client.chat.completions.create({ model: "reverse", messages });
      assertEquals(whole.choices[0]?.message.content, "hello");
      assertEquals(whole.usage?.total_tokens, 5);
      const stream = await client.chat.completions.create({
        model: "reverse",
        messages,
        stream: true,
        stream_options: { include_usage: true },
      });
      let text = "";
      let usage = 0;
      for await (const chunk of stream) {
        text += chunk.choices[0]?.delta.content ?? "";
        usage += chunk.usage?.completion_tokens ?? 0;
      }
      assertEquals([text, usage], ["hello", 2]);
    }),
);

strictly(
  "openai: the streaming helper accumulates a final message with logprobs",
  () =>
    withClient(locked(), async (client) => {
      const runner = client.chat.completions.stream({ model: "reverse", messages, logprobs: true });
      assertEquals(await runner.finalContent(), "hello");
      const final = await runner.finalChatCompletion();
      assertEquals(final.choices[0]?.finish_reason, "stop");
      assertEquals(final.choices[0]?.logprobs?.content?.map(({ token }) => token), ["hel", "lo"]);
    }),
);

strictly(
  "openai: its own answer can be sent back as history",
  () =>
    withClient(locked(), async (client) => {
      const first = await client.chat.completions.create({ model: "reverse", messages });
      const answer = first.choices[0]?.message;
      assert(answer);
      const history = [...messages, answer, ...messages];
      const second = await client.chat.completions.create({ model: "reverse", messages: history });
      assertEquals(second.choices[0]?.message.content, "hello");
    }),
);

strictly("openai: completions, whole and streamed", () =>
  withClient(locked(), async (client) => {
    const asked = { model: "demo", prompt: ["a", "b"], max_tokens: 4 };
    const whole = await client.completions.create(asked);
    assertEquals(whole.choices.map(({ text }) => text), ["hello", "hello"]);
    const texts = ["", ""];
    for await (const part of await client.completions.create({ ...asked, stream: true })) {
      for (const { index, text } of part.choices) texts[index] += text;
    }
    assertEquals(texts, ["hello", "hello"]);
  }));

strictly("openai: models, listed and alone", () =>
  withClient(locked(), async (client) => {
    const ids = await Array.fromAsync(client.models.list(), ({ id }) => id);
    assertEquals(ids, ["demo", "reverse", "upper"]);
    assertEquals((await client.models.retrieve("upper")).id, "upper");
    await assertRejects(() => client.models.retrieve("nope"), OpenAI.NotFoundError);
  }));

strictly("openai: failures arrive as the client's own error classes", async () => {
  const ask = (client: OpenAI, rest: object = {}) =>
    client.chat.completions.create({ model: "reverse", messages, ...rest });
  await withClient(locked(), async (client) => {
    const unknown = await assertRejects(() => ask(client, { model: "no" }), OpenAI.NotFoundError);
    assertEquals([unknown.code, unknown.param], ["model_not_found", "model"]);
    const bad = await assertRejects(() => ask(client, { temperature: 9 }), OpenAI.BadRequestError);
    assertEquals(bad.param, "temperature");
    const tools = [{ type: "function", function: { name: "f" } }];
    const refused = await assertRejects(() => ask(client, { tools }), OpenAI.BadRequestError);
    assertEquals([refused.code, refused.param], ["unsupported_parameter", "tools"]);
  });
  const stranger = async (client: OpenAI) => {
    await assertRejects(() => ask(client), OpenAI.AuthenticationError);
  };
  await withClient(locked(), stranger, "another-key");
  const full = locked();
  full.router.refuseFrom = 0;
  await withClient(full, async (client) => {
    await assertRejects(() => ask(client), OpenAI.RateLimitError);
    full.router.refusal = "not_ready";
    await assertRejects(() => ask(client), OpenAI.InternalServerError);
  });
});

strictly("openai: a full server is tried again after Retry-After", async () => {
  const edge = locked();
  edge.router.refuseFrom = 0;
  const submit = edge.router.submit.bind(edge.router);
  edge.router.submit = (requests) => {
    const submission = submit(requests);
    edge.router.refuseFrom = Infinity; // there is room after the first
    return submission;
  };
  await serving(edge, async (url) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: key, maxRetries: 1 });
    const before = performance.now();
    const { choices } = await client.chat.completions.create({ model: "reverse", messages });
    assertEquals(choices[0]?.message.content, "hello");
    assert(performance.now() - before >= 900);
  });
});

strictly("openai: a failure in mid-stream throws while the stream is read", () => {
  const error = { kind: "internal", message: "broke", param: null } as const;
  const script: StreamEvent[] = [{ kind: "started", promptTokens: [1] }, said("a")];
  const router = new ScriptedRouter(() => [...script, { kind: "failed", error }]);
  return withClient(locked(router), async (client) => {
    const create = { model: "reverse", messages, stream: true } as const;
    const stream = await client.chat.completions.create(create);
    let text = "";
    const thrown = await assertRejects(async () => {
      for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    }, OpenAI.APIError);
    assertEquals([text, thrown.code], ["a", "internal_error"]);
  });
});

strictly("openai: abort reaches the router", () => {
  const router = new ScriptedRouter(async function* () {
    yield { kind: "started", promptTokens: [1] } as const;
    while (true) {
      yield said("x");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
  return withClient(locked(router), async (client) => {
    const create = { model: "reverse", messages, stream: true } as const;
    const stream = await client.chat.completions.create(create);
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) stream.controller.abort();
    }
    await router.untilCancelled(1);
    assertEquals(router.cancelled, [router.submitted[0]?.id]);
    // The script's own pause may outlive the cancel by a moment; it is no leak.
    await new Promise((resolve) => setTimeout(resolve, 10));
  });
});
