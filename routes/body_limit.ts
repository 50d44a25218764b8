import { LimitedBytesTransformStream } from "@std/streams";
import type { MiddlewareHandler } from "hono";
import { Problem } from "./problem.ts";

/** Refuses compressed bodies, and those over `bytes`: at once where the length is declared, else as soon as they grow past it. */
export function bodyLimit(bytes: number): MiddlewareHandler {
  const tooLarge = () =>
    new Problem(
      "body_too_large",
      `The request's body is too large: expected at most ${bytes} bytes.`,
    );
  return async function bodyLimit(c, next) {
    const { raw } = c.req;
    const encoding = c.req.header("content-encoding") ?? "identity";
    if (encoding.toLowerCase() !== "identity") {
      throw new Problem(
        "unsupported_media_type",
        `Expected a body without content-encoding, received ${encoding}.`,
      );
    }
    const declared = c.req.header("content-length");
    if (declared !== undefined && c.req.header("transfer-encoding") === undefined) {
      if (Number(declared) > bytes) throw tooLarge();
    } else if (raw.body) {
      const limited = raw.body.pipeThrough(new LimitedBytesTransformStream(bytes, { error: true }));
      try {
        c.req.raw = new Request(raw, { body: await new Response(limited).bytes() });
      } catch (error) {
        throw error instanceof RangeError ? tooLarge() : error;
      }
    }
    await next();
  };
}
