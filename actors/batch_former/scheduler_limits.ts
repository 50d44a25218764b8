import type { PolicyOptions } from "../policy_options.ts";

export interface SchedulerLimits {
  /** Sequences that hold a slot at once. */
  readonly maxRunning: number;
  readonly maxBatchTokens: number;
  /** Rows of logits of one step. */
  readonly maxLogitRows: number;
  /** Counts on sequences to take as much of the output that they may take as those before them did, not all. */
  readonly learnsOutput?: boolean;
  /** Who runs when there is not room for all; absent: first come, first served. */
  readonly policy?: PolicyOptions;
}

/** @throws {RangeError} when the limits do not let every running sequence have a token. */
export function checkLimits({ maxRunning, maxBatchTokens, maxLogitRows }: SchedulerLimits): void {
  if (maxRunning >= 1 && maxBatchTokens >= maxRunning && maxLogitRows >= maxRunning) return;
  throw new RangeError(
    `Cannot schedule: maxRunning must be at least 1, maxBatchTokens and maxLogitRows at least ` +
      `maxRunning, received ${maxRunning}, ${maxBatchTokens} and ${maxLogitRows}`,
  );
}
