import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import type OpenAI from "openai";
import { saying, ScriptedRouter } from "../support/scripted_router.ts";
import { events, openEdge, post, strictly } from "./edge_fixture.ts";

const URL = "/v1/chat/completions";
const ask = (rest: object = {}) => ({
  model: "reverse",
  messages: [{ role: "user", content: "stone" }],
  ...rest,
});
type Chunk = OpenAI.ChatCompletionChunk;
type Answer = OpenAI.ChatCompletion;

strictly("a chat completion is answered in OpenAI's shape", async () => {
  const response = await openEdge().app.request(URL, post(ask()));
  assertEquals(response.status, 200);
  const { id, created, ...answer }: Answer = await response.json();
  assert(id.startsWith("chatcmpl-"));
  assert(Math.abs(created - Date.now() / 1000) < 5);
  assertEquals(answer, {
    object: "chat.completion",
    model: "reverse",
    choices: [{
      index: 0,
      message: { role: "assistant", content: "hello", refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: {
      prompt_tokens: 3,
      completion_tokens: 2,
      total_tokens: 5,
      prompt_tokens_details: { cached_tokens: 0 },
    },
  });
});

strictly(
  "a stream opens with the role, closes with the finish reason, then the usage",
  async () => {
    const response = await openEdge().app.request(
      URL,
      post(ask({ stream: true, stream_options: { include_usage: true } })),
    );
    assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
    const chunks = await events<Chunk>(response);
    const deltas = chunks.map(({ choices }) => choices.map(({ delta }) => delta));
    assertEquals(deltas as unknown, [
      [{ role: "assistant", content: "" }],
      [{ content: "hel" }],
      [{ content: "lo" }],
      [{}],
      [],
    ]);
    assertEquals(chunks.map(({ choices }) => choices[0]?.finish_reason), [
      null,
      null,
      null,
      "stop",
      undefined,
    ]);
    assertEquals(chunks.map(({ usage }) => usage?.total_tokens ?? null), [
      null,
      null,
      null,
      null,
      5,
    ]);
    assertEquals(new Set(chunks.map(({ id }) => id)).size, 1);
  },
);

strictly("without include_usage no chunk speaks of usage", async () => {
  const response = await openEdge().app.request(URL, post(ask({ stream: true })));
  const chunks = await events(response);
  assertEquals(chunks.filter((chunk) => "usage" in chunk), []);
  assertEquals(chunks.length, 4);
});

strictly("the streamed deltas of each choice add up to the whole answer", async () => {
  const texts = fc.array(fc.array(fc.string({ unit: "grapheme" }), { maxLength: 12 }), {
    minLength: 1,
    maxLength: 4,
  });
  await fc.assert(
    fc.asyncProperty(texts, async (choices) => {
      const script = () => {
        let at = 0;
        return new ScriptedRouter(() => saying(choices[at++] ?? []));
      };
      const n = choices.length;
      const whole: Answer = await (await openEdge(script()).app.request(URL, post(ask({ n }))))
        .json();
      const stream = await openEdge(script()).app.request(URL, post(ask({ n, stream: true })));
      const streamed = choices.map(() => "");
      for (const chunk of await events<Chunk>(stream)) {
        for (const { index, delta } of chunk.choices) streamed[index] += delta.content ?? "";
      }
      assertEquals(streamed, whole.choices.map(({ message }) => message.content ?? ""));
      assertEquals(streamed, choices.map((pieces) => pieces.join("")));
    }),
    { numRuns: 25 },
  );
});

strictly("what a chat asks for reaches the router as it was said", async () => {
  const { app, router } = openEdge(undefined, { priorities: true });
  const messages = [
    { role: "developer", content: "Be brief." },
    {
      role: "user",
      content: [{ type: "text", text: "a" }, { type: "text", text: "b" }],
      name: "x",
    },
    { role: "assistant", content: "ok", refusal: null },
  ];
  const body = {
    messages,
    seed: 7,
    temperature: 0.5,
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    presence_penalty: 1,
    frequency_penalty: -1,
    repetition_penalty: 1.1,
    logit_bias: { "5": -100, "6": 2.5 },
    stop: ["\n", "END"],
    stop_token_ids: [2],
    ignore_eos: true,
    max_completion_tokens: 9,
    logprobs: true,
    top_logprobs: 2,
    user: "someone",
    priority: -3,
    metadata: { a: "b" },
    tool_choice: "none",
    response_format: { type: "text" },
  };
  assertEquals((await app.request(URL, post(ask(body)))).status, 200);
  const { id: _, ...request } = router.submitted[0] ?? {};
  assertEquals(request as unknown, {
    prompt: {
      kind: "chat",
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "ab", name: "x" },
        { role: "assistant", content: "ok" },
      ],
    },
    adapters: [{ adapter: "digest of reverse", weight: 1 }],
    sampling: {
      temperature: 0.5,
      topK: 40,
      topP: 0.9,
      minP: 0.05,
      seed: 7,
      presencePenalty: 1,
      frequencyPenalty: -1,
      repetitionPenalty: 1.1,
      logitBias: [[5, -100], [6, 2.5]],
      topLogprobs: 2,
    },
    maxTokens: 9,
    stop: ["\n", "END"],
    stopTokenIds: [2],
    ignoreEos: true,
    echo: false,
    priority: -3,
  });
});

strictly("a priority is refused where it would have no effect", async () => {
  const { app, router } = openEdge();
  const response = await app.request(URL, post(ask({ priority: -3 })));
  const { error } = await response.json();
  assertEquals([response.status, error.param], [400, "priority"]);
  assertEquals((await app.request(URL, post(ask({ priority: 0 })))).status, 200);
  assertEquals(router.submitted.length, 1);
});

strictly("an adapter's weight, and the tenant's, go with the request", async () => {
  const adapterWeights = new Map([["reverse", 3]]);
  const { app, router } = openEdge(undefined, { adapterWeights });
  await app.request(URL, post(ask()));
  await app.request(URL, post(ask({ model: "upper" })));
  assertEquals(router.submitted.map(({ shares }) => shares), [
    { tenant: 1, adapter: 3 },
    undefined,
  ]);
});

strictly("top_k beyond any vocabulary keeps every token, however large", async () => {
  const { app, router } = openEdge();
  for (const top_k of [2 ** 32 + 1, Number.MAX_SAFE_INTEGER, -1]) {
    assertEquals((await app.request(URL, post(ask({ top_k })))).status, 200);
  }
  assertEquals(router.submitted.map(({ sampling }) => sampling.topK), [
    2 ** 31 - 1,
    2 ** 31 - 1,
    0,
  ]);
});

strictly("what is not said, or said as null, takes OpenAI's defaults", async () => {
  const silent = openEdge();
  await silent.app.request(URL, post(ask()));
  const nulls = openEdge();
  const names = [
    ..."stream stream_options n stop stop_token_ids ignore_eos seed temperature top_p".split(" "),
    ..."top_k min_p presence_penalty frequency_penalty repetition_penalty logit_bias".split(" "),
    ..."max_tokens max_completion_tokens logprobs top_logprobs tools user metadata priority".split(
      " ",
    ),
  ];
  const body = ask(Object.fromEntries(names.map((name) => [name, null])));
  assertEquals((await nulls.app.request(URL, post(body))).status, 200);
  for (const { router } of [silent, nulls]) {
    const request = router.submitted[0];
    assertEquals(request?.maxTokens, null);
    assertEquals(request?.stop, []);
    assertEquals(request?.sampling, {
      temperature: 1,
      topK: 0,
      topP: 1,
      minP: 0,
      seed: request?.sampling.seed ?? NaN,
      presencePenalty: 0,
      frequencyPenalty: 0,
      repetitionPenalty: 1,
      logitBias: [],
      topLogprobs: null,
    });
  }
});

strictly("n choices take seed + i; without a seed each draws its own", async () => {
  const seeded = openEdge();
  await seeded.app.request(URL, post(ask({ n: 3, seed: 2 ** 53 - 2 })));
  const seeds = seeded.router.submitted.map(({ sampling }) => sampling.seed);
  assertEquals(seeds, [2 ** 53 - 2, 2 ** 53 - 1, 0]);
  const negative = openEdge();
  assertEquals((await negative.app.request(URL, post(ask({ n: 2, seed: -1 })))).status, 200);
  const around = negative.router.submitted.map(({ sampling }) => sampling.seed);
  assertEquals(around, [2 ** 53 - 1, 0]);
  const drawn = openEdge();
  const answer: Answer = await (await drawn.app.request(URL, post(ask({ n: 3 })))).json();
  const own = drawn.router.submitted.map(({ sampling }) => sampling.seed);
  assertEquals(new Set(own).size, 3);
  for (const seed of own) assert(Number.isSafeInteger(seed) && seed >= 0, `${seed}`);
  assertEquals(answer.choices.map(({ index }) => index), [0, 1, 2]);
  assertEquals(answer.usage?.prompt_tokens, 3);
  assertEquals(answer.usage?.completion_tokens, 6);
});

strictly("logprobs come with each token, streamed as in the whole", async () => {
  const asked = ask({ logprobs: true, top_logprobs: 1 });
  const whole: Answer = await (await openEdge().app.request(URL, post(asked))).json();
  const content = whole.choices[0]?.logprobs?.content ?? [];
  const top_logprobs = [{ token: "~", logprob: -0.5, bytes: [126] }];
  assertEquals(content, [
    { token: "hel", logprob: -1, bytes: [104, 101, 108], top_logprobs },
    { token: "lo", logprob: -2, bytes: [108, 111], top_logprobs },
  ]);
  const stream = await openEdge().app.request(URL, post({ ...asked, stream: true }));
  const chunks = await events<Chunk>(stream);
  assertEquals(chunks.flatMap(({ choices }) => choices[0]?.logprobs?.content ?? []), content);
});
