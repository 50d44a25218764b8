import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { assert, assertEquals, assertRejects } from "@std/assert";
import { APICallError, generateText, type LanguageModel, streamText } from "ai";
import type { StreamEvent } from "../../actors/request_router/protocol.ts";
import { said, ScriptedRouter } from "../support/scripted_router.ts";
import { type Edge, openEdge, serving, strictly } from "./edge_fixture.ts";

/** Runs `use` with the Vercel AI SDK's provider for servers like this one. */
const withProvider = (edge: Edge, use: (model: (id: string) => LanguageModel) => Promise<void>) =>
  serving(
    edge,
    (url) =>
      use(createOpenAICompatible({ name: "chorus", baseURL: `${url}/v1`, includeUsage: true })),
  );

strictly(
  "ai: generateText gives text, usage and the finish reason",
  () =>
    withProvider(openEdge(), async (model) => {
      const prompt = { model: model("reverse"), prompt: "stone", maxOutputTokens: 5, seed: 1 };
      const { text, usage, finishReason } = await generateText(prompt);
      assertEquals([text, finishReason, usage.totalTokens], ["hello", "stop", 5]);
    }),
);

strictly(
  "ai: streamText streams text and ends with usage",
  () =>
    withProvider(openEdge(), async (model) => {
      const result = streamText({ model: model("reverse"), system: "Be brief.", prompt: "stone" });
      const pieces = await Array.fromAsync(result.textStream);
      assertEquals(pieces, ["hel", "lo"]);
      assertEquals((await result.usage).outputTokens, 2);
      assertEquals(await result.finishReason, "stop");
    }),
);

strictly(
  "ai: failures arrive as APICallError with status and message",
  () =>
    withProvider(openEdge(), async (model) => {
      const ask = () => generateText({ model: model("nope"), prompt: "x", maxRetries: 0 });
      const error = await assertRejects(ask, APICallError);
      assertEquals(error.statusCode, 404);
      assert(error.message.includes("nope"));
    }),
);

strictly("ai: a failure in mid-stream is an error part", () => {
  const error = { kind: "internal", message: "broke", param: null } as const;
  const script: StreamEvent[] = [{ kind: "started", promptTokens: [1] }, said("a")];
  const router = new ScriptedRouter(() => [...script, { kind: "failed", error }]);
  return withProvider(openEdge(router), async (model) => {
    const errors: unknown[] = [];
    const result = streamText({
      model: model("reverse"),
      prompt: "x",
      maxRetries: 0,
      onError: ({ error }) => void errors.push(error),
    });
    await Array.fromAsync(result.fullStream);
    assertEquals(errors.length, 1);
    assert(String(errors[0]).includes("broke") || JSON.stringify(errors[0]).includes("broke"));
  });
});

strictly("ai: abort reaches the router", () => {
  const router = new ScriptedRouter(async function* () {
    yield { kind: "started", promptTokens: [1] } as const;
    while (true) {
      yield said("x");
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  });
  return withProvider(openEdge(router), async (model) => {
    const client = new AbortController();
    const { signal: abortSignal } = client;
    const result = streamText({ model: model("reverse"), prompt: "x", abortSignal });
    for await (const part of result.fullStream) {
      if (part.type === "text-delta") client.abort();
    }
    await router.untilCancelled(1);
    assertEquals(router.cancelled, [router.submitted[0]?.id]);
    // The script's own pause may outlive the cancel by a moment; it is no leak.
    await new Promise((resolve) => setTimeout(resolve, 10));
  });
});
