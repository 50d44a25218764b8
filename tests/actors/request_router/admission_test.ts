import { assert, assertEquals } from "@std/assert";
import { requestId } from "../../../memory/ids.ts";
import { admission } from "../../../actors/request_router/admission.ts";
import type { GenerationRequest } from "../../../actors/request_router/protocol.ts";
import { GREEDY } from "../../../actors/sampling.ts";

const request = (changes: Partial<GenerationRequest> = {}): GenerationRequest => ({
  id: requestId("a"),
  prompt: { kind: "text", text: "" },
  adapters: [],
  sampling: GREEDY,
  maxTokens: null,
  stop: [],
  stopTokenIds: [],
  ignoreEos: false,
  echo: false,
  ...changes,
});
const bounds = (maxModelLen = 100, poolTokens = 1000, adapterPages = 0) => ({
  vocabSize: 50,
  eosTokenIds: [2, 3],
  limits: { maxModelLen, poolTokens, pagesPerBlock: 2 },
  adapterPages,
});
const prompt = (length: number) => Array.from({ length }, (_, i) => i % 50);

function refusal(changes: Partial<GenerationRequest>, tokens: readonly number[], at = bounds()) {
  const admitted = admission(request(changes), tokens, at);
  assert(admitted.kind === "refused", "it was admitted");
  const { kind, param, message } = admitted.failure;
  return [kind, param, message.replace("Cannot run the request: ", "")];
}

function plan(changes: Partial<GenerationRequest>, tokens: readonly number[], at = bounds()) {
  const admitted = admission(request(changes), tokens, at);
  assert(admitted.kind === "plan", JSON.stringify(admitted));
  return admitted.plan;
}

Deno.test("admission() lets a request without max_tokens run to the model's length", () => {
  assertEquals(plan({}, prompt(40)).maxTokens, 60);
  assertEquals(plan({}, prompt(99)).maxTokens, 1);
  assertEquals(plan({}, prompt(40), bounds(100, 70)).maxTokens, 30);
});

Deno.test("admission() refuses what does not fit the model, with the numbers", () => {
  assertEquals(refusal({}, prompt(100)), [
    "too_long",
    "prompt",
    "expected a prompt of at most 99 tokens (the model's length is 100), received 100",
  ]);
  assertEquals(refusal({ maxTokens: 61 }, prompt(40)), [
    "too_long",
    "max_tokens",
    "expected prompt and max_tokens to be at most 100 tokens together (the model's length), received 40 + 61 = 101",
  ]);
  assertEquals(plan({ maxTokens: 60 }, prompt(40)).maxTokens, 60);
});

Deno.test("admission() refuses what the page pool can never hold", () => {
  assertEquals(refusal({}, prompt(32), bounds(100, 32)), [
    "too_long",
    "prompt",
    "expected a prompt of at most 31 tokens (what the page pool can hold is 32), received 32",
  ]);
  assertEquals(refusal({ maxTokens: 3 }, prompt(30), bounds(100, 32))[1], "max_tokens");
});

Deno.test("admission() leaves the request's adapters their pages: what does not fit beside them is refused before it runs", () => {
  // Five pages are three blocks of 16 tokens.
  const beside = bounds(200, 80, 5);
  assertEquals(plan({ maxTokens: 12 }, prompt(20), beside).maxTokens, 12);
  assertEquals(plan({}, prompt(20), beside).maxTokens, 12);
  assertEquals(refusal({ maxTokens: 13 }, prompt(20), beside), [
    "too_long",
    "max_tokens",
    "expected prompt and max_tokens to be at most 32 tokens together (what the page pool can hold beside adapters), received 20 + 13 = 33",
  ]);
  assertEquals(
    refusal({}, prompt(20), bounds(200, 80, 11))[2],
    "expected a prompt of at most 0 " +
      "tokens (what the page pool can hold beside adapters is 0), received 20",
  );
});

Deno.test("admission() refuses an empty prompt, tokens out of the vocabulary and no tokens at all", () => {
  const messages = { prompt: { kind: "chat", messages: [] } } as const;
  assertEquals(refusal(messages, [])[1], "messages");
  assertEquals(refusal({}, [])[1], "prompt");
  assertEquals(refusal({}, [4, 50]), [
    "invalid",
    "prompt",
    "the vocabulary is 0 to 49, received token 50",
  ]);
  assertEquals(refusal({}, [1.5])[1], "prompt");
  const sampling = { ...GREEDY, logitBias: [[50, 1]] } as const;
  assertEquals(refusal({ sampling }, [1])[1], "logit_bias");
  assertEquals(refusal({ stopTokenIds: [2 ** 31 - 1] }, [1])[1], "stop_token_ids");
  assertEquals(refusal({ maxTokens: 0 }, [1]), [
    "invalid",
    "max_tokens",
    "expected max_tokens to be at least 1, received 0",
  ]);
});

Deno.test("admission() runs an echo without tokens to its first token", () => {
  assertEquals(plan({ echo: true, maxTokens: 0 }, [1]).maxTokens, 1);
  assertEquals(plan({ echo: true, maxTokens: 0 }, prompt(100)).maxTokens, 1);
  assertEquals(refusal({ echo: true, maxTokens: 0 }, prompt(101)), [
    "too_long",
    "prompt",
    "expected a prompt of at most 100 tokens (the model's length is 100), received 101",
  ]);
});

Deno.test("admission() stops at EOS unless told to ignore it, and asks for prompt logprobs only for an echo", () => {
  assertEquals(plan({ stopTokenIds: [3, 7] }, [1]).stopTokenIds, [2, 3, 7]);
  assertEquals(plan({ stopTokenIds: [7], ignoreEos: true }, [1]).stopTokenIds, [7]);
  const sampling = { ...GREEDY, topLogprobs: 0 };
  assertEquals(plan({ echo: true }, [1]).promptLogprobs, false);
  assertEquals(plan({ echo: true, sampling }, [1]).promptLogprobs, true);
  assertEquals(plan({ sampling }, [1]).promptLogprobs, false);
});
