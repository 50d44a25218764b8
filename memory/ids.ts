/** The nouns that cross channels. Branded, so that one kind of number is never taken for another. */
declare const brand: unique symbol;
type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** One admitted request (one sequence: a prompt with n = 3 becomes three). */
export type RequestId = Brand<string, "RequestId">;

/** Content digest of an adapter's files, so that new files under an old name are another adapter. */
export type AdapterId = Brand<string, "AdapterId">;

/** A page of the unified pool: the same place in every layer's pool. */
export type PageId = Brand<number, "PageId">;

/** Place of a running sequence in the executor's per-sequence tables, 0 <= slot < maxRunning. */
export type SlotId = Brand<number, "SlotId">;

/** Number of a step within one engine incarnation, counting from 1. */
export type StepId = Brand<number, "StepId">;

/** Incarnation of the engine process; messages of an older one are dropped. */
export type Epoch = Brand<number, "Epoch">;

export const requestId = (id: string): RequestId => id as RequestId;
export const adapterId = (id: string): AdapterId => id as AdapterId;
export const pageId = (id: number): PageId => id as PageId;
export const slotId = (id: number): SlotId => id as SlotId;
export const stepId = (id: number): StepId => id as StepId;
export const epoch = (id: number): Epoch => id as Epoch;
