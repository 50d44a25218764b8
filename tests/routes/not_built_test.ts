import { assertEquals } from "@std/assert";
import { openEdge, post, strictly } from "./edge_fixture.ts";

const URL = "/v1/chat/completions";
const ask = (rest: object = {}) => ({
  model: "reverse",
  messages: [{ role: "user", content: "stone" }],
  ...rest,
});

strictly("what clients send to ask for nothing passes: nulls, empty lists, defaults", async () => {
  const nothing = {
    tools: [],
    functions: [],
    store: false,
    service_tier: "auto",
    safety_identifier: "x",
    prompt_cache_key: "x",
    prompt_cache_retention: null,
  };
  const empty = { refusal: null, tool_calls: [], function_call: null, audio: null };
  const user = { role: "user", content: "stone" };
  const earlier = { role: "assistant", content: "enots", ...empty, annotations: [] };
  const messages = [user, earlier, user];
  const { app, router } = openEdge();
  const response = await app.request(URL, post(ask({ ...nothing, messages })));
  assertEquals([response.status, await response.json().then(({ error }) => error)], [
    200,
    undefined,
  ]);
  assertEquals(router.submitted[0]?.prompt, {
    kind: "chat",
    messages: [user, { role: "assistant", content: "enots" }, user],
  } as never);
  const none = Object.fromEntries(Object.keys(nothing).map((key) => [key, null]));
  const stream_options = { include_obfuscation: false };
  const streamed = await app.request(URL, post(ask({ ...none, stream: true, stream_options })));
  assertEquals(streamed.status, 200);
  await streamed.text();
});

strictly("what asks for something that is not built is refused by name", async () => {
  const call = { id: "1", type: "function", function: { name: "f", arguments: "{}" } };
  const wanted: [string, object][] = [
    ["tools", { tools: [{ type: "function", function: { name: "f" } }] }],
    ["store", { store: true }],
    ["service_tier", { service_tier: "priority" }],
    ["stream_options.include_obfuscation", {
      stream: true,
      stream_options: { include_obfuscation: true },
    }],
    ["messages.0.tool_calls", {
      messages: [{ role: "assistant", content: "", tool_calls: [call] }],
    }],
  ];
  for (const [param, rest] of wanted) {
    const response = await openEdge().app.request(URL, post(ask(rest)));
    const { error } = await response.json();
    assertEquals([response.status, error.code, error.param], [400, "unsupported_parameter", param]);
  }
});
