import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { Problem } from "./problem.ts";

const digest = (text: string) => createHash("sha256").update(text).digest();

/** Lets requests pass that carry one of `keys` as their bearer token; without keys everyone passes. */
export function auth(keys: readonly string[]): MiddlewareHandler {
  const known = keys.map(digest);
  return async function auth(c, next) {
    if (known.length > 0 && !isKnown(c.req.header("authorization"), known)) {
      throw new Problem("invalid_api_key", "The API key is missing or wrong.");
    }
    await next();
  };
}

/** Compares digests, and with every key: the time taken tells nothing of how close a guess was. */
function isKnown(header: string | undefined, known: readonly Uint8Array[]): boolean {
  const token = /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1];
  if (token === undefined) return false;
  const sent = digest(token);
  return known.reduce((found, key) => timingSafeEqual(key, sent) || found, false);
}
