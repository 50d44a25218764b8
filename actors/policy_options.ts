/** Who decides when there is not room for all. */
export const POLICY_NAMES = ["fcfs", "priority", "vtc", "abort", "cluster"] as const;
export type PolicyName = typeof POLICY_NAMES[number];

/** Which policies, the deciding one first, and their parameters: plain data. */
export interface PolicyOptions {
  readonly names: readonly PolicyName[];
  /** How long one that does not fit, or is held up by clustering, lets others pass. */
  readonly agingMs: number;
  /** Within which the first token is to come. */
  readonly sloMs: number;
  /** Distinct adapters in a batch, where they are clustered. */
  readonly clusterAdapters: number;
  readonly prices: Prices;
}

export const POLICY_DEFAULTS: PolicyOptions = {
  names: ["fcfs"],
  agingMs: 5000,
  sloMs: 6000,
  clusterAdapters: 8,
  prices: { prompt: 1, output: 2 },
};

/** What a token costs. */
export interface Prices {
  readonly prompt: number;
  readonly output: number;
}
