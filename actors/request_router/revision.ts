import type { AdapterId } from "../../memory/ids.ts";
import type { AdapterShape } from "../../models/adapter_image.ts";
import type { AdapterCommand } from "../engine_protocol.ts";

/** A name, and the files that it stands for. */
export interface AdapterEntry {
  readonly name: string;
  readonly id: AdapterId;
  /** A PEFT directory, as the engine process sees it. */
  readonly path: string;
  /** Name of the base model. */
  readonly parent: string;
}

export type AdapterState =
  | { readonly kind: "registering" }
  | { readonly kind: "registered"; readonly rank: number; readonly bytes: number }
  /** `passing`: the files could not be read, and may be the next time. */
  | { readonly kind: "rejected"; readonly error: string; readonly passing?: true };

/** Requests that have had a token, and the rest. */
export interface RequestCount {
  readonly running: number;
  readonly waiting: number;
}

/** One content of files. It lives for as long as a name stands for it or a request uses it. */
export interface Revision {
  readonly id: AdapterId;
  path: string;
  state: AdapterState;
  /** What an engine found in the files: the next one need not read them again to know. */
  shape: AdapterShape | null;
  readonly names: Set<string>;
  /** What keeps it beside its names: requests, and loads and pins under way. */
  uses: number;
  /** Requests that have not ended, by their tenant; null: of nobody in particular. */
  readonly requests: Map<string | null, RequestCount>;
  /** Those of its names that are to stay on the GPU; and whether the engine sees to it. */
  readonly pins: Set<string>;
  pinned: boolean;
  /** Resolved by the engine's next word on it. */
  verdict: PromiseWithResolvers<AdapterState> | null;
  pinVerdict: PromiseWithResolvers<string | null> | null;
}

/** A revision of which nothing is known but where its files are. */
export const newRevision = (id: AdapterId, path: string): Revision => ({
  id,
  path,
  state: { kind: "registering" },
  shape: null,
  names: new Set(),
  uses: 0,
  requests: new Map(),
  pins: new Set(),
  pinned: false,
  verdict: null,
  pinVerdict: null,
});

/** What an engine is told of it first. */
export const registering = ({ id, path, shape }: Revision): AdapterCommand => ({
  kind: "register",
  adapter: id,
  path,
  ...(shape && { known: shape }),
});

/** Counts requests of a tenant that come, begin or end. */
export function count(revision: Revision, tenant: string | null, change: RequestCount): void {
  const sum = add(revision.requests.get(tenant) ?? NONE, change);
  if (sum.running + sum.waiting > 0) revision.requests.set(tenant, sum);
  else revision.requests.delete(tenant);
}

/** A tenant's requests; without one, everybody's. */
export const countOf = ({ requests }: Revision, tenant?: string): RequestCount =>
  tenant === undefined ? requests.values().reduce(add, NONE) : requests.get(tenant) ?? NONE;

const NONE: RequestCount = { running: 0, waiting: 0 };
const add = (a: RequestCount, b: RequestCount): RequestCount => ({
  running: a.running + b.running,
  waiting: a.waiting + b.waiting,
});
