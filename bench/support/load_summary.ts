import type { LoadRun } from "./offered_load.ts";
import { type Percentiles, percentiles } from "./percentile.ts";

/** What a run says of the server, in S-LoRA's words (slora/utils/metric.py); times in seconds. */
export interface LoadSummary {
  readonly requests: number;
  readonly completed: number;
  readonly failed: number;
  /** Until the last request ended. */
  readonly seconds: number;
  readonly requestsPerSecond: number;
  readonly outputTokensPerSecond: number;
  readonly firstToken: Percentiles;
  readonly interToken: Percentiles;
  /** Mean, of completed requests. */
  readonly latency: number;
  /** Share of all requests whose first token came within the SLO. */
  readonly attainment: number;
  /** Mean of 1 - (first token / SLO)^2 where it came within, else 0. */
  readonly satisfaction: number;
  readonly adaptersTouched: number;
  readonly failures: Readonly<Record<string, number>>;
}

const mean = (numbers: readonly number[]) =>
  numbers.reduce((sum, x) => sum + x, 0) / Math.max(1, numbers.length);

/** Failed and given-up requests count for attainment and satisfaction, and nowhere else. */
export function summarize({ records, seconds }: LoadRun, slo: number): LoadSummary {
  const completed = records.filter(({ error }) => error === null);
  const firsts = records.flatMap(({ firstToken }) => firstToken === null ? [] : [firstToken]);
  const within = records.map(({ firstToken }) => firstToken === null ? 1 : firstToken / slo);
  const failures: Record<string, number> = {};
  for (const { status, error } of records) {
    if (error === null) continue;
    const why = `${status}: ${error.slice(0, 120)}`;
    failures[why] = (failures[why] ?? 0) + 1;
  }
  const adapters = records.flatMap(({ adapter }) => adapter === null ? [] : [adapter]);
  return {
    requests: records.length,
    completed: completed.length,
    failed: records.length - completed.length,
    seconds,
    requestsPerSecond: completed.length / seconds,
    outputTokensPerSecond: records.reduce((sum, r) => sum + r.outputTokens, 0) / seconds,
    firstToken: percentiles(firsts),
    interToken: percentiles(records.flatMap(({ gaps }) => gaps)),
    latency: mean(completed.map(({ due, ended }) => ended - due)),
    attainment: mean(within.map((share) => share < 1 ? 1 : 0)),
    satisfaction: mean(within.map((share) => share < 1 ? 1 - share ** 2 : 0)),
    adaptersTouched: new Set(adapters).size,
    failures,
  };
}

/** Requests a second that a full server carries: tokens in the last two thirds of a run, over a mean answer. */
export function saturation({ records, tokenTimes }: LoadRun, seconds: number): number {
  const from = seconds / 3;
  const tokens = tokenTimes.filter((at) => at >= from && at < seconds).length;
  return tokens / (seconds - from) / mean(records.map(({ outputTokens }) => outputTokens));
}
