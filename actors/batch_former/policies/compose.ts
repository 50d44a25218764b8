import type { PolicyName, PolicyOptions } from "../../policy_options.ts";
import { cluster } from "./cluster.ts";
import { earlyAbort } from "./early_abort.ts";
import { fcfs } from "./fcfs.ts";
import type { Policy } from "./policy.ts";
import { priority } from "./priority.ts";
import { vtc } from "./vtc.ts";

/** Several policies as one: all of them answer, with everything given. */
export type WholePolicy = Required<Policy>;

/**
 * The policies of `options` as one. The first named orders, each later one those that the ones before it left equal,
 * arrival the rest, which `abort` turns round, wherever it is named; what one bars or gives up no other lets go.
 */
export function makePolicy(options: PolicyOptions): WholePolicy {
  const { agingMs, sloMs, clusterAdapters, prices } = options;
  const make: Record<PolicyName, () => Policy> = {
    fcfs: () => ({}),
    priority,
    vtc: () => vtc(prices),
    abort: () => earlyAbort(sloMs),
    cluster: () => cluster(clusterAdapters, agingMs),
  };
  const others = options.names.filter((name) => name !== "abort");
  const aborts = options.names.filter((name) => name === "abort");
  return compose([...[...others, ...aborts].map((name) => make[name]()), fcfs(agingMs)]);
}

function compose(policies: readonly Policy[]): WholePolicy {
  const last = [...policies].reverse();
  return {
    order: (queue, scene) =>
      last.reduce((jobs, policy) => policy.order?.(jobs, scene) ?? jobs, queue),
    bars: (job, now) => policies.some((policy) => policy.bars?.(job, now) ?? false),
    shed: (queue, scene) => policies.flatMap((policy) => policy.shed?.(queue, scene) ?? []),
    rank: (job) => policies.reduce((rank, policy) => rank + (policy.rank?.(job) ?? 0), 0),
    arrived: (job, queue, now) => policies.forEach((policy) => policy.arrived?.(job, queue, now)),
    admitted: (job, tokens, now) =>
      policies.forEach((policy) => policy.admitted?.(job, tokens, now)),
    served: (job, tokens) => policies.forEach((policy) => policy.served?.(job, tokens)),
  };
}
