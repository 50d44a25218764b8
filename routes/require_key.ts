import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { EdgeEnv } from "./edge.ts";
import { Problem } from "./problem.ts";

/** Lets nobody pass but who sends one of these as a bearer key; without any, nobody. */
export function requireKey(...keys: readonly string[]): MiddlewareHandler<EdgeEnv> {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  const expected = keys.map(digest);
  return async function requireKey(c, next) {
    const token = /^Bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1] ?? "";
    const sent = digest(token);
    if (!expected.some((key) => timingSafeEqual(sent, key))) {
      throw new Problem("invalid_api_key", "The key that this needs is missing or wrong.");
    }
    await next();
  };
}
