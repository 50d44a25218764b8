import type { ModelCatalogue } from "./model_catalogue.ts";

/** Who asks, and what they may. */
export interface Tenant {
  /** null: nobody in particular, for all who share a plain key or need none. */
  readonly name: string | null;
  /** May use the base model itself. */
  readonly base: boolean;
  /** Adapters by name; `*` stands for any text. */
  readonly adapters: readonly string[];
  readonly limits: TenantLimits;
  /** Its share next to other tenants', where shares are kept to; absent: 1. */
  readonly weight?: number;
  /** The lowest `priority` that its requests may ask for, which is served first; absent: 0. */
  readonly priority?: number;
}

/** null: no limit. A request for several choices counts as so many. */
export interface TenantLimits {
  readonly requestsPerMinute: number | null;
  /** Of prompts and of output. */
  readonly tokensPerMinute: number | null;
  readonly concurrentRequests: number | null;
}

/** Tenants by their keys, as they are at this moment. */
export interface TenantKeys {
  /** By the SHA-256 of a key, in hexadecimal. */
  find(digest: string): Tenant | null;
}

/** May do everything. */
export const ANYONE: Tenant = {
  name: null,
  base: true,
  adapters: ["*"],
  limits: { requestsPerMinute: null, tokensPerMinute: null, concurrentRequests: null },
};

/** Whether an adapter of this name, if there is one, is a tenant's to use. */
export const mayUse = (tenant: Tenant, adapter: string): boolean =>
  tenant.adapters.some((pattern) => matches(pattern, adapter));

/** The catalogue as a tenant sees it: what it may not use is not there. */
export function visibleTo(tenant: Tenant, models: ModelCatalogue): ModelCatalogue {
  const may = (name: string) => name === models.base ? tenant.base : mayUse(tenant, name);
  return {
    base: models.base,
    resolve: (name) => {
      // Both are always done: a model of somebody else's takes the time that one of nobody's takes.
      const [model, allowed] = [models.resolve(name), may(name)];
      return allowed ? model : null;
    },
    describe: (name) => {
      const [model, allowed] = [models.describe(name), may(name)];
      return allowed ? model : null;
    },
    list: () => models.list().filter(({ id }) => may(id)),
  };
}

/** Whether `pattern`, in which `*` stands for any text, is all of `name`; in linear time, for clients choose names. */
export function matches(pattern: string, name: string): boolean {
  const [first = "", ...rest] = pattern.split("*");
  const last = rest.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first)) return false;
  let at = first.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return name.length - last.length >= at && name.endsWith(last);
}
