import { assert, assertEquals } from "@std/assert";
import type { RequestFailure, StreamEvent } from "../../actors/request_router/protocol.ts";
import type { ErrorBody } from "../../routes/problem.ts";
import { said, saying, ScriptedRouter } from "../support/scripted_router.ts";
import { type Edge, events, openEdge, post, strictly } from "./edge_fixture.ts";

const CHAT = "/v1/chat/completions";
const ask = (rest: object = {}) => ({
  model: "demo",
  messages: [{ role: "user", content: "x" }],
  ...rest,
});

async function problem(response: Response | Promise<Response>) {
  const { status, headers } = await response;
  const { error }: ErrorBody = await (await response).json();
  assertEquals(Object.keys(error).sort(), ["code", "message", "param", "type"]);
  return { status, headers, ...error };
}

const failing = (error: RequestFailure, before: StreamEvent[] = []): Edge =>
  openEdge(new ScriptedRouter(() => [...before, { kind: "failed", error }]));

strictly("an unknown model is a 404 that tells of no other", async () => {
  const { app } = openEdge();
  for (const path of [CHAT, "/v1/completions"]) {
    const body = path === CHAT ? ask({ model: "nope" }) : { model: "nope", prompt: "x" };
    const { status, code, param, message } = await problem(app.request(path, post(body)));
    assertEquals([status, code, param], [404, "model_not_found", "model"]);
    assert(message.includes("nope") && !message.includes("reverse"), message);
  }
});

strictly("a model that is unknown before the engine is ready is a 503", async () => {
  const status = () => ({ ready: false, reason: "adapters are loading" });
  const { app } = openEdge(undefined, { status });
  const failure = await problem(app.request(CHAT, post(ask({ model: "reverse2" }))));
  assertEquals([failure.status, failure.code], [503, "unavailable"]);
  assertEquals(failure.headers.get("retry-after"), "2");
});

strictly(
  "a full router is a 429 and one that is not ready a 503, both with Retry-After",
  async () => {
    const expected = {
      full: [429, "overloaded", "1"],
      not_ready: [503, "unavailable", "2"],
    } as const;
    for (const refusal of ["full", "not_ready"] as const) {
      const { app, router } = openEdge();
      router.refusal = refusal;
      router.refuseFrom = 0;
      const { status, code, headers } = await problem(app.request(CHAT, post(ask())));
      assertEquals([status, code, headers.get("retry-after") ?? ""], [...expected[refusal]]);
    }
  },
);

strictly(
  "more choices than the server ever holds are a 400: coming again would not help",
  async () => {
    const { app, router } = openEdge();
    router.capacity = 6;
    const { status, param, message } = await problem(app.request(CHAT, post(ask({ n: 7 }))));
    assertEquals([status, param], [400, "n"]);
    assert(message.includes("at most 6 choices") && message.includes("received 7"), message);
    assertEquals((await app.request(CHAT, post(ask({ n: 6 })))).status, 200);
  },
);

strictly("when there is room for some of the choices only, none runs", async () => {
  const { app, router } = openEdge();
  router.refuseFrom = 2;
  assertEquals((await problem(app.request(CHAT, post(ask({ n: 3 }))))).status, 429);
  assertEquals(router.submitted, []);
});

strictly(
  "a router's failure before the first token is an HTTP status, streamed or not",
  async () => {
    const failures: [string, number, string][] = [
      ["invalid", 400, "invalid_parameter"],
      ["too_long", 400, "context_length_exceeded"],
      ["unavailable", 503, "unavailable"],
      ["internal", 500, "internal_error"],
    ];
    for (const [kind, status, code] of failures) {
      for (const stream of [false, true]) {
        const error = { kind, message: "because", param: "messages" } as RequestFailure;
        const response = failing(error).app.request(CHAT, post(ask({ stream })));
        const found = await problem(response);
        assertEquals(found.status, status);
        assertEquals([found.code, found.message, found.param], [code, "because", "messages"]);
      }
    }
  },
);

strictly("a failure in mid-stream is an error event, then [DONE]", async () => {
  const error = { kind: "internal", message: "broke", param: null } as const;
  const { app } = failing(error, [{ kind: "started", promptTokens: [1] }, said("a")]);
  const response = await app.request(CHAT, post(ask({ stream: true })));
  assertEquals(response.status, 200);
  const [first, second, third, ...rest] = await events(response);
  assert(first && "choices" in first && second && "choices" in second);
  assertEquals(third as unknown, {
    error: { message: "broke", type: "server_error", param: null, code: "internal_error" },
  });
  assertEquals(rest, []);
});

strictly("one choice that fails ends the others, and the answer is an error", async () => {
  for (const stream of [false, true]) {
    let at = 0;
    const router = new ScriptedRouter(async function* () {
      yield { kind: "started", promptTokens: [1] } as const;
      if (at++ === 0) {
        const error = { kind: "unavailable", message: "gone", param: null } as const;
        yield { kind: "failed", error } as const;
        return;
      }
      while (true) {
        yield said("x");
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    });
    const response = await openEdge(router).app.request(CHAT, post(ask({ n: 2, stream })));
    if (stream) {
      const last = (await events(response)).at(-1) as unknown as ErrorBody;
      assertEquals(last.error.message, "gone");
    } else {
      assertEquals((await problem(response)).status, 503);
    }
    assertEquals(router.cancelled, [router.submitted[1]?.id]);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
});

strictly("a stream that the router cancels, or cuts without an end, is an error too", async () => {
  const started = { kind: "started", promptTokens: [1] } as const;
  for (const [last, status] of [[{ kind: "cancelled" }, 503], [null, 500]] as const) {
    const script = [started, said("a"), ...(last ? [last] : [])];
    const { app } = openEdge(new ScriptedRouter(() => script));
    assertEquals((await problem(app.request(CHAT, post(ask())))).status, status);
    const stream = await app.request(CHAT, post(ask({ stream: true })));
    assert("error" in ((await events(stream)).at(-1) ?? {}));
  }
});

strictly("what is not JSON, not declared so, or not an object is refused", async () => {
  const { app } = openEdge();
  const json = { "content-type": "application/json" };
  const cases: [RequestInit, number, string][] = [
    [{ body: "{", headers: json }, 400, "malformed_json"],
    [{ body: "", headers: json }, 400, "malformed_json"],
    [{ headers: json }, 400, "malformed_json"],
    [{ body: "null", headers: json }, 400, "invalid_parameter"],
    [{ body: "{}", headers: { "content-type": "text/plain" } }, 415, "unsupported_media_type"],
    [
      { body: "a=b", headers: { "content-type": "application/x-www-form-urlencoded" } },
      415,
      "unsupported_media_type",
    ],
    [{ body: new Uint8Array([1]) }, 415, "unsupported_media_type"],
  ];
  for (const [init, status, code] of cases) {
    const found = await problem(app.request(CHAT, { method: "POST", ...init }));
    assertEquals([found.status, found.code], [status, code]);
  }
});

strictly("an unknown URL is a 404, and a known one with another method a 405", async () => {
  const { app } = openEdge();
  for (const path of ["/", "/v2/models", "/v1/embeddings", "/docs/nothing"]) {
    assertEquals((await problem(app.request(path))).code, "unknown_url");
  }
  const cases: [string, string, string][] = [
    ["GET", CHAT, "POST"],
    ["DELETE", "/v1/models/demo", "GET, HEAD"],
    ["POST", "/health", "GET, HEAD"],
    ["PUT", "/docs", "GET, HEAD"],
  ];
  for (const [method, path, allow] of cases) {
    const { status, code, headers } = await problem(app.request(path, { method }));
    assertEquals([status, code, headers.get("allow") ?? ""], [405, "method_not_allowed", allow]);
  }
});

strictly("a fault of ours is a 500 that tells nothing of it", async () => {
  const router = new ScriptedRouter(() => saying([]));
  router.submit = () => {
    throw new TypeError("secret detail");
  };
  const found = await problem(openEdge(router).app.request(CHAT, post(ask())));
  assertEquals([found.status, found.code], [500, "internal_error"]);
  assert(!found.message.includes("secret"));
});
