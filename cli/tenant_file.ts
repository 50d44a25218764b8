import { getLogger } from "@logtape/logtape";
import { z } from "zod";
import { messageOf } from "../actors/message_of.ts";
import type { Tenant, TenantKeys } from "../routes/tenant.ts";
import { ConfigError } from "./config.ts";

const limit = z.int().min(1).optional();
const Text = z.strictObject({
  tenants: z.record(
    z.string().regex(/^[\w.-]{1,64}$/, "expected a name of letters, digits and _ . -"),
    z.strictObject({
      keys: z.array(
        z.string().regex(/^sha256:[0-9a-f]{64}$/, "expected sha256: and 64 hexadecimal digits"),
      ).min(1),
      adapters: z.array(z.string().min(1)).default([]),
      base: z.boolean().default(true),
      weight: z.number().positive("expected a number above 0").optional(),
      priority: z.int().optional(),
      limits: z.strictObject({
        requests_per_minute: limit,
        tokens_per_minute: limit,
        concurrent_requests: limit,
      }).default({}),
    }),
  ),
});

const logger = getLogger(["chorus", "tenants"]);

/** Tenants by the digests of their keys, from the text of a tenant file. @throws {SyntaxError} saying where and why. */
export function parseTenants(text: string): ReadonlyMap<string, Tenant> {
  const parsed = Text.safeParse(JSON.parse(text));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new SyntaxError(`${issue?.path.join(".") || "file"}: ${issue?.message}`);
  }
  const byKey = new Map<string, Tenant>();
  for (
    const [name, { keys, adapters, base, limits, weight, priority }] of Object.entries(
      parsed.data.tenants,
    )
  ) {
    const tenant: Tenant = {
      name,
      base,
      adapters,
      ...(weight !== undefined && { weight }),
      ...(priority !== undefined && { priority }),
      limits: {
        requestsPerMinute: limits.requests_per_minute ?? null,
        tokensPerMinute: limits.tokens_per_minute ?? null,
        concurrentRequests: limits.concurrent_requests ?? null,
      },
    };
    for (const key of keys) {
      const other = byKey.get(key.slice("sha256:".length));
      if (other) {
        throw new SyntaxError(`tenants.${name}.keys: a key of ${other.name} is here again`);
      }
      byKey.set(key.slice("sha256:".length), tenant);
    }
  }
  return byKey;
}

/** The tenants of a file, which may change: what is in it at the last look counts, and a broken one does not. */
export class TenantFile implements TenantKeys {
  readonly #path: string;
  #tenants: ReadonlyMap<string, Tenant>;
  #text: string;

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
    this.#tenants = parseTenants(text);
  }

  /** @throws {ConfigError} where it cannot be used. */
  static async open(path: string): Promise<TenantFile> {
    try {
      return new TenantFile(path, await Deno.readTextFile(path));
    } catch (error) {
      throw new ConfigError(`Cannot use --tenant-file: ${messageOf(error)}, received ${path}`);
    }
  }

  find(digest: string): Tenant | null {
    return this.#tenants.get(digest) ?? null;
  }

  /** Reads the file again. One that is broken or gone is told of once, and changes nothing. */
  async refresh(): Promise<void> {
    let text = "";
    try {
      text = await Deno.readTextFile(this.#path);
      if (text === this.#text) return;
      this.#tenants = parseTenants(text);
    } catch (error) {
      if (this.#text !== text) {
        const fields = { path: this.#path, why: messageOf(error) };
        logger.error("Cannot use the tenants of {path}: {why}; those before stay", fields);
      }
    }
    this.#text = text;
  }

  /** Looks at the file every `ms`, which keeps no process alive; a rename over it is seen like a change in it. */
  watch(ms: number): void {
    Deno.unrefTimer(setTimeout(() => this.refresh().finally(() => this.watch(ms)), ms));
  }
}
