import type { Prices } from "../../policy_options.ts";
import { LeastFirst } from "./least_first.ts";
import type { Job, Policy } from "./policy.ts";
import { ServiceCounters } from "./service_counters.ts";

/**
 * Fair shares by virtual token counters (Sheng et al., arXiv 2401.00588, algorithm 2), among tenants and, within
 * each, among its adapters: whoever was served least goes first. Service is `w_p prompt + w_q output` tokens over the
 * client's weight. Who has nothing waiting gains no credit: its counter is lifted to the least of those that wait,
 * or to the last that left. Of two that always wait neither is served more than
 * `2 max(w_p longest prompt, w_q tokens in the pool)` beyond the other, so nobody passes one that does not fit.
 */
export function vtc(prices: Prices): Policy {
  const tenants = new ServiceCounters();
  const adapters = new Map<string, ServiceCounters>();
  const within = (tenant: string): ServiceCounters => {
    const counters = adapters.get(tenant) ?? new ServiceCounters();
    adapters.set(tenant, counters);
    return counters;
  };
  function charge(job: Job, cost: number): void {
    const tenant = tenantOf(job);
    tenants.add(tenant, cost / job.shares.tenant);
    within(tenant).add(adapterOf(job), cost / job.shares.adapter);
  }
  return {
    order: (queue) => leastServedFirst(queue, prices.prompt, tenants, within),
    bars: (job) => job.blockedSince !== null && !job.crowded,
    arrived(job, queue) {
      const [tenant, adapter] = [tenantOf(job), adapterOf(job)];
      const [others, mates] = [new Set<string>(), new Set<string>()];
      for (const other of queue) {
        if (tenantOf(other) === tenant) mates.add(adapterOf(other));
        else others.add(tenantOf(other));
      }
      if (mates.size === 0) tenants.lift(tenant, others);
      if (!mates.has(adapter)) within(tenant).lift(adapter, mates);
    },
    admitted(job, promptTokens) {
      tenants.last = tenantOf(job);
      within(tenantOf(job)).last = adapterOf(job);
      charge(job, prices.prompt * promptTokens);
    },
    served: (job, tokens) => charge(job, prices.output * tokens),
  };
}

/**
 * Draws the queue: each time the oldest job of the least served adapter of the least served tenant, those drawn
 * counting as served. Thousands of adapters may wait, at every step: what is drawn costs their logarithm each.
 */
function* leastServedFirst<J extends Job>(
  queue: Iterable<J>,
  price: number,
  tenants: ServiceCounters,
  within: (tenant: string) => ServiceCounters,
): Iterable<J> {
  const waiting = new Map<string, Map<string, J[]>>();
  for (const job of queue) {
    const byAdapter = waiting.get(tenantOf(job)) ?? new Map<string, J[]>();
    waiting.set(tenantOf(job), byAdapter);
    const jobs = byAdapter.get(adapterOf(job)) ?? [];
    byAdapter.set(adapterOf(job), jobs);
    jobs.push(job);
  }
  const ranked = new Map<string, LeastFirst<Iterator<J>>>();
  const adaptersOf = (tenant: string) => {
    const of = within(tenant);
    const all = [...waiting.get(tenant) ?? []];
    return new LeastFirst(all.map(([adapter, jobs]) => [jobs.values(), of.get(adapter)] as const));
  };
  const order = new LeastFirst([...waiting.keys()].map((key) => [key, tenants.get(key)]));
  for (let tenant = order.first; tenant !== undefined; tenant = order.first) {
    const adapters = ranked.get(tenant) ?? adaptersOf(tenant);
    ranked.set(tenant, adapters);
    if (!adapters.first) {
      order.drop();
      continue;
    }
    const next = adapters.first.next();
    if (next.done) {
      adapters.drop();
      continue;
    }
    const job = next.value;
    // What it will be charged when it is admitted.
    const cost = job.begun ? 0 : price * job.promptTokens;
    order.raise(cost / job.shares.tenant);
    adapters.raise(cost / job.shares.adapter);
    yield job;
  }
}

const tenantOf = (job: Job): string => job.tenant ?? "";
const adapterOf = ({ adapters }: Job): string =>
  adapters.length > 1
    ? adapters.map((route) => route.adapter).join("\n")
    : adapters[0]?.adapter ?? "";
