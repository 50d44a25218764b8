import { assert, assertEquals } from "@std/assert";
import type { ErrorBody } from "../../routes/problem.ts";
import { openEdge, post, strictly } from "./edge_fixture.ts";

const CHAT = "/v1/chat/completions";
const TEXT = "/v1/completions";
const chat = (rest: object) => ({
  model: "demo",
  messages: [{ role: "user", content: "x" }],
  ...rest,
});
const text = (rest: object) => ({ model: "demo", prompt: "x", ...rest });

/** A body, the parameter to blame, and a part of the message. */
const WRONG: readonly [url: string, body: unknown, param: string | null, message: string][] = [
  [CHAT, chat({ temperature: 3 }), "temperature", "received 3"],
  [CHAT, chat({ temperature: "hot" }), "temperature", 'received "hot"'],
  [CHAT, chat({ top_p: 0 }), "top_p", "received 0"],
  [CHAT, chat({ top_k: 1.5 }), "top_k", "received 1.5"],
  [CHAT, chat({ min_p: 2 }), "min_p", "received 2"],
  [CHAT, chat({ presence_penalty: -3 }), "presence_penalty", "received -3"],
  [CHAT, chat({ frequency_penalty: 3 }), "frequency_penalty", "received 3"],
  [CHAT, chat({ repetition_penalty: 0 }), "repetition_penalty", "received 0"],
  [CHAT, chat({ seed: 0.5 }), "seed", "received 0.5"],
  [CHAT, chat({ seed: -(2 ** 53) }), "seed", "received -9007199254740992"],
  [CHAT, chat({ n: 0 }), "n", "received 0"],
  [CHAT, chat({ n: 129 }), "n", "received 129"],
  [CHAT, chat({ stop: "" }), "stop", ">=1 characters"],
  [CHAT, chat({ stop: Array(17).fill("x") }), "stop", "at most 16"],
  [CHAT, chat({ stop: "x".repeat(1025) }), "stop", "<=1024 characters"],
  [CHAT, chat({ logit_bias: { "0101": 1 } }), "logit_bias.0101", "not a token id"],
  [CHAT, chat({ messages: Array(70_000).fill({}) }), null, "at most 65536 values"],
  [TEXT, text({ prompt: Array(70_000).fill([]) }), null, "at most 65536 values"],
  [CHAT, chat({ stop: "\ud800" }), "stop", "without halves of characters"],
  [TEXT, text({ stop: ["x", "y\udc00"] }), "stop.1", "without halves of characters"],
  [CHAT, chat({ stop_token_ids: [-1] }), "stop_token_ids.0", "received -1"],
  [CHAT, chat({ logit_bias: { x: 1 } }), "logit_bias.x", "not a token id"],
  [CHAT, chat({ logit_bias: { "1": 101 } }), "logit_bias.1", "received 101"],
  [CHAT, chat({ max_tokens: 0 }), "max_tokens", "received 0"],
  [CHAT, chat({ max_tokens: 1, max_completion_tokens: 2 }), "max_tokens", "one of the two"],
  [CHAT, chat({ top_logprobs: 2 }), "top_logprobs", "logprobs"],
  [CHAT, chat({ logprobs: true, top_logprobs: 21 }), "top_logprobs", "received 21"],
  [CHAT, chat({ stream_options: { include_usage: true } }), "stream_options", "stream"],
  [CHAT, chat({ stream: true, stream_options: { x: 1 } }), "stream_options.x", "Unknown"],
  [CHAT, chat({ model: undefined }), "model", "Missing"],
  [CHAT, chat({ messages: undefined }), "messages", "Missing"],
  [CHAT, chat({ messages: [] }), "messages", "received []"],
  [CHAT, chat({ messages: [{ role: "robot", content: "x" }] }), "messages.0.role", '"robot"'],
  [CHAT, chat({ messages: [{ role: "user" }] }), "messages.0.content", "Missing"],
  [
    CHAT,
    chat({ messages: [{ role: "user", content: [{ type: "image_url" }] }] }),
    "messages.0.content",
    "text",
  ],
  [CHAT, chat({ typo: 1 }), "typo", "Unknown parameter"],
  [CHAT, [], null, "not valid"],
  [TEXT, text({ prompt: undefined }), "prompt", "Missing"],
  [TEXT, text({ prompt: [] }), "prompt", "none without tokens"],
  [TEXT, text({ prompt: [["x"]] }), "prompt", "expected a string"],
  [TEXT, text({ prompt: [-1] }), "prompt.0", "received -1"],
  [TEXT, text({ logprobs: 21 }), "logprobs", "received 21"],
  [TEXT, text({ prompt: Array(9).fill("x"), n: 128 }), "n", "received 1152"],
  [TEXT, text({ messages: [] }), "messages", "Unknown parameter"],
];

/** What OpenAI has and Chorus does not. */
const NOT_BUILT: readonly [url: string, body: object, param: string][] = [
  [CHAT, { tools: [{ type: "function", function: { name: "f" } }] }, "tools"],
  [CHAT, { tool_choice: "auto" }, "tool_choice"],
  [CHAT, { response_format: { type: "json_object" } }, "response_format"],
  [CHAT, { response_format: { type: "json_schema", json_schema: {} } }, "response_format"],
  [CHAT, { functions: [{ name: "f" }] }, "functions"],
  [CHAT, { function_call: "none" }, "function_call"],
  [CHAT, { parallel_tool_calls: true }, "parallel_tool_calls"],
  [CHAT, { modalities: ["text", "audio"] }, "modalities"],
  [CHAT, { audio: { voice: "alloy" } }, "audio"],
  [CHAT, { prediction: {} }, "prediction"],
  [CHAT, { reasoning_effort: "low" }, "reasoning_effort"],
  [CHAT, { verbosity: "low" }, "verbosity"],
  [CHAT, { web_search_options: {} }, "web_search_options"],
  [TEXT, { suffix: "x" }, "suffix"],
  [TEXT, { best_of: 2 }, "best_of"],
];

async function refusal(url: string, body: unknown) {
  const { app, router } = openEdge();
  const response = await app.request(url, post(body));
  const { error }: ErrorBody = await response.json();
  assertEquals(response.status, 400, `${JSON.stringify(body)}: ${response.status}`);
  assertEquals(error.type, "invalid_request_error");
  assertEquals(router.submitted, []);
  return error;
}

strictly("a bad parameter is a 400 that names it, its value and what was expected", async () => {
  for (const [url, body, param, message] of WRONG) {
    const error = await refusal(url, body);
    assertEquals(error.param, param, `${JSON.stringify(body)}: ${error.message}`);
    assert(error.message.includes(message), error.message);
  }
});

strictly("a message says once that something is invalid, and once what was received", async () => {
  const cases: readonly [body: unknown, message: string][] = [
    [chat({ model: 5 }), "Invalid 'model': expected string, received 5."],
    [chat({ seed: 1.5 }), "Invalid 'seed': expected int, received 1.5."],
    [chat({ temperature: 3 }), "Invalid 'temperature': expected number to be <=2, received 3."],
    [[], "The request's body is not valid: expected object, received array."],
  ];
  for (const [body, message] of cases) assertEquals((await refusal(CHAT, body)).message, message);
});

strictly("what is not built is refused by name, never ignored", async () => {
  for (const [url, rest, param] of NOT_BUILT) {
    const error = await refusal(url, url === CHAT ? chat(rest) : text(rest));
    assertEquals(error.param?.split(".")[0], param);
    assertEquals(error.code, "unsupported_parameter", error.message);
    assert(error.message.includes("not supported by this server"), error.message);
  }
});

strictly(
  "a body with very many faults is a 400 like one with a single one",
  async () => {
    const error = await refusal(TEXT, text({ stop_token_ids: Array(60_000).fill("") }));
    assert(/stop_token_ids/.test(error.message), error.message);
  },
);

strictly("a long value is quoted in part", async () => {
  const error = await refusal(TEXT, text({ logprobs: "9".repeat(10_000) }));
  assert(error.message.length < 200, error.message);
});
