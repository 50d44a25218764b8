import type { Prices } from "../../policy_options.ts";
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
    bars: (job) => job.blockedSince !== null,
    arrived(job, queue) {
      const tenant = tenantOf(job);
      const mates = queue.filter((other) => tenantOf(other) === tenant);
      if (mates.length === 0) tenants.lift(tenant, new Set(queue.map(tenantOf)));
      const waiting = new Set(mates.map(adapterOf));
      if (!waiting.has(adapterOf(job))) within(tenant).lift(adapterOf(job), waiting);
    },
    admitted(job, promptTokens) {
      tenants.last = tenantOf(job);
      within(tenantOf(job)).last = adapterOf(job);
      charge(job, prices.prompt * promptTokens);
    },
    served: (job, tokens) => charge(job, prices.output * tokens),
  };
}

/** Draws the queue: each time the oldest job of the least served adapter of the least served tenant. */
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
  // What those drawn will be charged when they are admitted.
  const drawn = new Map<string, number>();
  while (waiting.size > 0) {
    const tenant = least(waiting.keys(), (key) => tenants.get(key) + (drawn.get(key) ?? 0));
    const byAdapter = waiting.get(tenant) ?? new Map<string, J[]>();
    const of = within(tenant);
    const key = (adapter: string) => `${tenant}\n${adapter}`;
    const adapter = least(
      byAdapter.keys(),
      (adapter) => of.get(adapter) + (drawn.get(key(adapter)) ?? 0),
    );
    const jobs = byAdapter.get(adapter) ?? [];
    const job = jobs.shift();
    if (jobs.length === 0) byAdapter.delete(adapter);
    if (byAdapter.size === 0) waiting.delete(tenant);
    if (!job) continue;
    const cost = job.begun ? 0 : price * job.promptTokens;
    drawn.set(tenant, (drawn.get(tenant) ?? 0) + cost / job.shares.tenant);
    drawn.set(key(adapter), (drawn.get(key(adapter)) ?? 0) + cost / job.shares.adapter);
    yield job;
  }
}

function least(keys: Iterable<string>, valueOf: (key: string) => number): string {
  let [best, value] = ["", Infinity];
  for (const key of keys) {
    const own = valueOf(key);
    if (own < value) [best, value] = [key, own];
  }
  return best;
}

const tenantOf = (job: Job): string => job.tenant ?? "";
const adapterOf = (job: Job): string => job.adapters.map((route) => route.adapter).join("\n");
