import { assert, assertEquals } from "@std/assert";
import type OpenAI from "openai";
import type { StreamEvent } from "../../actors/request_router/protocol.ts";
import { finished, said, saying, ScriptedRouter, streamToken } from "../support/scripted_router.ts";
import { events, openEdge, post, strictly } from "./edge_fixture.ts";

const URL = "/v1/completions";
type Answer = OpenAI.Completion;
const ask = (rest: object = {}) => ({ model: "demo", prompt: "stone", ...rest });

/** Echoes a prompt of two tokens, then says one. */
function* echoing(): Generator<StreamEvent> {
  yield { kind: "started", promptTokens: [1, 2] };
  const tokens = [{ ...streamToken("sto", 0), logprobs: null }, streamToken("ne", 1)];
  yield { kind: "prompt", text: "stone", tokens };
  yield said("!", 2);
  yield finished(1, 2);
}

strictly("a completion is answered in OpenAI's shape, 16 tokens at most by default", async () => {
  const { app, router } = openEdge();
  const response = await app.request(URL, post(ask()));
  assertEquals(response.status, 200);
  const { id, created, ...answer }: Answer = await response.json();
  assert(id.startsWith("cmpl-") && created > 0);
  assertEquals(answer as unknown, {
    object: "text_completion",
    model: "demo",
    choices: [{ index: 0, text: "hello", logprobs: null, finish_reason: "stop" }],
    usage: {
      prompt_tokens: 3,
      completion_tokens: 2,
      total_tokens: 5,
      prompt_tokens_details: { cached_tokens: 0 },
    },
  });
  assertEquals(router.submitted[0]?.maxTokens, 16);
  assertEquals(router.submitted[0]?.adapters, []);
});

strictly("a stream's parts add up to the whole and the last carries the reason", async () => {
  const stream_options = { include_usage: true };
  const response = await openEdge().app.request(URL, post(ask({ stream: true, stream_options })));
  const parts = await events<Answer>(response);
  assertEquals(parts.map(({ choices }) => choices[0]?.text), ["hel", "lo", "", undefined]);
  const reasons = parts.map(({ choices }) => choices[0]?.finish_reason);
  assertEquals(reasons as unknown, [null, null, "stop", undefined]);
  assertEquals(parts.at(-1)?.usage?.completion_tokens, 2);
});

strictly("prompts come as text, token ids, or lists of either", async () => {
  const forms: [unknown, unknown[]][] = [
    ["a", [{ kind: "text", text: "a" }]],
    [[1, 2], [{ kind: "tokens", tokens: [1, 2] }]],
    [["a", "b"], [{ kind: "text", text: "a" }, { kind: "text", text: "b" }]],
    [[[1], [2, 3]], [{ kind: "tokens", tokens: [1] }, { kind: "tokens", tokens: [2, 3] }]],
  ];
  for (const [prompt, expected] of forms) {
    const { app, router } = openEdge();
    await (await app.request(URL, post(ask({ prompt })))).text();
    assertEquals(router.submitted.map((request) => request.prompt) as unknown[], expected);
  }
});

strictly("choices are indexed prompt * n + i, and a prompt's tokens count once", async () => {
  const router = new ScriptedRouter(({ prompt, sampling }) =>
    saying([prompt.kind === "text" ? prompt.text : "", String(sampling.seed)])
  );
  const body = ask({ prompt: ["a", "b"], n: 2, seed: 5 });
  const answer: Answer = await (await openEdge(router).app.request(URL, post(body))).json();
  assertEquals(answer.choices.map(({ text }) => text), ["a5", "a6", "b5", "b6"]);
  assertEquals(answer.choices.map(({ index }) => index), [0, 1, 2, 3]);
  assertEquals(answer.usage?.prompt_tokens, 6);
  assertEquals(answer.usage?.completion_tokens, 8);
});

strictly("logprobs come in OpenAI's four lists, with the chosen token among the top", async () => {
  const whole: Answer = await (await openEdge().app.request(URL, post(ask({ logprobs: 1 }))))
    .json();
  assertEquals(whole.choices[0]?.logprobs as unknown, {
    tokens: ["hel", "lo"],
    token_logprobs: [-1, -2],
    top_logprobs: [{ "~": -0.5, hel: -1 }, { "~": -0.5, lo: -2 }],
    text_offset: [0, 3],
  });
  const { app } = openEdge();
  const stream = await app.request(URL, post(ask({ logprobs: 1, stream: true })));
  const parts = await events<Answer>(stream);
  const offsets = parts.flatMap(({ choices }) => choices[0]?.logprobs?.text_offset ?? []);
  assertEquals(offsets, [0, 3]);
});

strictly("text offsets count code points", async () => {
  const { app } = openEdge(new ScriptedRouter(() => saying(["🙂é", "x"])));
  const answer: Answer = await (await app.request(URL, post(ask({ logprobs: 0 })))).json();
  assertEquals(answer.choices[0]?.logprobs?.text_offset, [0, 2]);
});

strictly("echo puts the prompt first, with null at its first logprob", async () => {
  const body = ask({ prompt: [1, 2], echo: true, logprobs: 0 });
  const edge = openEdge(new ScriptedRouter(echoing));
  const whole: Answer = await (await edge.app.request(URL, post(body))).json();
  assertEquals(whole.choices[0]?.text, "stone!");
  assertEquals(whole.choices[0]?.logprobs?.tokens, ["sto", "ne", "!"]);
  assertEquals(whole.choices[0]?.logprobs?.token_logprobs as unknown, [null, -2, -3]);
  assertEquals(whole.choices[0]?.logprobs?.top_logprobs?.[0] as unknown, null);
  assertEquals(edge.router.submitted[0]?.echo, true);
  const stream = await edge.app.request(URL, post({ ...body, stream: true }));
  const parts = await events<Answer>(stream);
  assertEquals(parts.map(({ choices }) => choices[0]?.text).join(""), "stone!");
  const offsets = parts.flatMap(({ choices }) => choices[0]?.logprobs?.text_offset ?? []);
  assertEquals(offsets, [0, 3, 5]);
});

strictly("max_tokens 0 is for an echo only", async () => {
  const edge = openEdge(new ScriptedRouter(echoing));
  await (await edge.app.request(URL, post(ask({ echo: true, max_tokens: 0 })))).text();
  assertEquals(edge.router.submitted[0]?.maxTokens, 0);
  const refused = await edge.app.request(URL, post(ask({ max_tokens: 0 })));
  const { error } = await refused.json();
  assertEquals([refused.status, error.param], [400, "max_tokens"]);
  assert(error.message.endsWith("expected at least 1 where echo is not set, received 0."));
});

strictly("best_of is taken when it equals n", async () => {
  const { app, router } = openEdge();
  await (await app.request(URL, post(ask({ n: 2, best_of: 2 })))).text();
  assertEquals(router.submitted.length, 2);
});
