import type { AdapterRoute } from "../../sampling.ts";
import type { Shares } from "../protocol.ts";

/** What a policy knows of a sequence. */
export interface Job {
  /** Order of submission, which is age. */
  readonly arrival: number;
  /** When it was submitted, in milliseconds of the clock that `now` is of. */
  readonly submittedAt: number;
  readonly adapters: readonly AdapterRoute[];
  /** null: nobody's in particular. */
  readonly tenant: string | null;
  readonly shares: Shares;
  /** Lower goes first; 0 where nobody said. */
  readonly priority: number;
  readonly promptTokens: number;
  readonly maxTokens: number;
  /** It has run before, here or on an earlier engine: its client may have seen tokens of it. */
  readonly begun: boolean;
  /** Since when there has been no room for it; null: it was not asked for, or would fit. */
  readonly blockedSince: number | null;
  /** What it lacks is room for its adapter in host memory: nobody who may not pass would make any. */
  readonly crowded?: boolean;
}

/** What else there is to decide by. */
export interface Scene {
  readonly running: readonly Job[];
  /** Milliseconds. */
  readonly now: number;
}

/** A job to be ended before it has begun, and what its client is told. */
export interface Shed<J> {
  readonly job: J;
  readonly error: string;
}

/** Who runs when there is not room for all: every question is optional, and what is not answered stays as it was. */
export interface Policy {
  /** The queue in the order in which to try admission, drawn as far as there is room; `queue` is the order without it. */
  order?<J extends Job>(queue: Iterable<J>, scene: Scene): Iterable<J>;
  /**
   * There was no room for this job: until there is, nobody may be admitted who comes after it in the order; where it
   * lacks pages of the head pool, nobody who needs some.
   */
  bars?(job: Job, now: number): boolean;
  /** Jobs to end now; `queue` is oldest first. */
  shed?<J extends Job>(queue: readonly J[], scene: Scene): Shed<J>[];
  /** The class: lower ones compute their prompts first, higher ones give up their pages first. */
  rank?(job: Job): number;
  /** A job comes to those that wait, `queue` without it. */
  arrived?(job: Job, queue: readonly Job[], now: number): void;
  /** It left the queue for its first place in the batch, where it computes `promptTokens`. */
  admitted?(job: Job, promptTokens: number, now: number): void;
  /** It was given output tokens. */
  served?(job: Job, tokens: number): void;
}
