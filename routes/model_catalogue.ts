import type { AdapterRoute } from "../actors/sampling.ts";

/** The names that clients may put in `model`. */
export interface ModelCatalogue {
  readonly base: string;
  /** null: no such model. */
  resolve(name: string): ResolvedModel | null;
  /** As in the list; null: no such model. */
  describe(name: string): ListedModel | null;
  /** The base model first, then its adapters. */
  list(): readonly ListedModel[];
}

export type ResolvedModel =
  | { readonly kind: "base" }
  | { readonly kind: "adapter"; readonly routes: readonly AdapterRoute[] };

export interface ListedModel {
  readonly id: string;
  /** The base model of an adapter; null for the base model itself. */
  readonly parent: string | null;
  /** Seconds since 1970. */
  readonly created: number;
}
