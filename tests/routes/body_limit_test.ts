import { assertEquals } from "@std/assert";
import { openEdge, post, serving, strictly } from "./edge_fixture.ts";

const PATH = "/v1/completions";
const sized = (bytes: number) => {
  const empty = JSON.stringify({ model: "demo", prompt: "" });
  return { model: "demo", prompt: "x".repeat(bytes - empty.length) };
};
/** A body without a declared length, in many chunks. */
const chunked = (body: unknown): RequestInit => {
  const bytes = new TextEncoder().encode(JSON.stringify(body));
  const pieces = Array.from(
    { length: Math.ceil(bytes.length / 1000) },
    (_, i) => bytes.subarray(i * 1000, (i + 1) * 1000),
  );
  return {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: ReadableStream.from(pieces),
  };
};

strictly("a body of the limit passes and one byte more is a 413, however it is sent", async () => {
  const edge = openEdge(undefined, { maxBodyBytes: 5000 });
  await serving(edge, async (url) => {
    for (const send of [post, chunked]) {
      const fits = await fetch(url + PATH, send(sized(5000)));
      assertEquals(fits.status, 200);
      assertEquals((await fits.json()).choices[0].text, "hello");
      const over = await fetch(url + PATH, send(sized(5001)));
      assertEquals(over.status, 413);
      assertEquals((await over.json()).error.code, "body_too_large");
    }
  });
  assertEquals(edge.router.submitted.length, 2);
});

strictly("a declared length over the limit is refused before the body is read", async () => {
  const { app } = openEdge(undefined, { maxBodyBytes: 100 });
  let read = 0;
  const body = new ReadableStream({ pull: () => void read++ }, { highWaterMark: 0 });
  const response = await app.request(PATH, {
    method: "POST",
    headers: { "content-type": "application/json", "content-length": "101" },
    body,
  });
  assertEquals([response.status, read], [413, 0]);
  await response.text();
});

strictly("a compressed body is a 415 that says so, not a complaint about its JSON", async () => {
  const { app } = openEdge();
  const plain = new Blob([JSON.stringify({ model: "demo", prompt: "a" })]).stream();
  const body = await new Response(plain.pipeThrough(new CompressionStream("gzip"))).bytes();
  const headers = { "content-type": "application/json", "content-encoding": "gzip" };
  const response = await app.request(PATH, { method: "POST", headers, body });
  assertEquals(response.status, 415);
  const { error } = await response.json();
  assertEquals(error.message, "Expected a body without content-encoding, received gzip.");
});
