import { createHash } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import type { EdgeDeps, EdgeEnv } from "./edge.ts";
import { Problem } from "./problem.ts";
import { ANYONE, type Tenant } from "./tenant.ts";

const digest = (text: string) => createHash("sha256").update(text).digest("hex");

/** What a client and an admin may both ask for. */
const SHARED = "/v1/adapters";

/**
 * Lets requests pass whose bearer token is one of `apiKeys` or a tenant's, and says whose it is; where there are
 * neither keys nor tenants everyone passes. The admin key opens the list of adapters, of which it sees all. Keys are
 * looked up by their digest, and the time that a lookup takes tells of the digest of a guess, which tells nothing of
 * a key.
 */
export function auth(
  deps: Pick<EdgeDeps, "apiKeys" | "tenants" | "adminKey">,
): MiddlewareHandler<EdgeEnv> {
  const plain = new Map<string, Tenant>(deps.apiKeys.map((key) => [digest(key), ANYONE]));
  const admin = deps.adminKey === undefined ? null : digest(deps.adminKey);
  const open = plain.size === 0 && !deps.tenants;
  return async function auth(c, next) {
    const token = /^Bearer +(\S+) *$/i.exec(c.req.header("authorization") ?? "")?.[1];
    const sent = token === undefined ? null : digest(token);
    const known = sent === null ? null : plain.get(sent) ?? deps.tenants?.find(sent) ?? null;
    const anyone = open || (sent !== null && sent === admin && c.req.path === SHARED);
    const tenant = anyone ? ANYONE : known;
    if (!tenant) throw new Problem("invalid_api_key", "The API key is missing or wrong.");
    c.set("tenant", tenant);
    await next();
  };
}
