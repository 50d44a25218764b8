import { POLICY_DEFAULTS, type PolicyOptions } from "../../../../actors/policy_options.ts";
import type { Job } from "../../../../actors/batch_former/policies/policy.ts";
import { adapterId } from "../../../../memory/ids.ts";
import { summarize } from "../../../../bench/support/load_summary.ts";
import { PAPER_SETTINGS, paperServer } from "../../../../bench/support/paper_settings.ts";
import {
  simulate,
  type SimulatedRequest,
  type SimulatedRun,
} from "../../../../bench/support/simulation.ts";

/** A job that has just come, of nobody, for the base model. */
export const jobOf = (
  arrival: number,
  { adapter, ...more }: Partial<Job> & { readonly adapter?: string } = {},
): Job => ({
  arrival,
  submittedAt: 0,
  adapters: adapter === undefined ? [] : [{ adapter: adapterId(adapter), weight: 1 }],
  tenant: null,
  shares: { tenant: 1, adapter: 1 },
  priority: 0,
  promptTokens: 10,
  maxTokens: 10,
  begun: false,
  blockedSince: null,
  ...more,
});

export const arrivalsOf = (jobs: Iterable<Job>): number[] => [...jobs].map((job) => job.arrival);

/** Runs a trace on the paper's small card with mixed ranks. */
export function runWith(
  policy: Partial<PolicyOptions>,
  trace: readonly SimulatedRequest[],
  more: { readonly poolTokens?: number; readonly overCommit?: number | null } = {},
): SimulatedRun {
  const { overCommit = 1, ...setting } = more;
  const small = { ...PAPER_SETTINGS["S2 A10G"], ...setting };
  return simulate(
    trace,
    paperServer(small, { policy: { ...POLICY_DEFAULTS, ...policy }, overCommit }),
  );
}

/** The mean time to the first token of those that got one, in seconds. */
export function meanFirstToken(records: SimulatedRun["records"]): number {
  const times = records.flatMap(({ firstToken }) => firstToken === null ? [] : [firstToken]);
  return times.reduce((sum, time) => sum + time, 0) / times.length;
}

export const summaryOf = (run: SimulatedRun) => summarize(run, 6);
