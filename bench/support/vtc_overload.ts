import { POLICY_DEFAULTS, type PolicyName } from "../../actors/policy_options.ts";
import { PAPER_SETTINGS, paperServer } from "./paper_settings.ts";
import { serviceGap } from "./service.ts";
import { simulate, type SimulatedRequest } from "./simulation.ts";

const { prices } = POLICY_DEFAULTS;
/** The VTC paper's pool, which is also the M of its bound, and its 256 and 256 tokens a request. */
const VTC_POOL = 10_000;
const VTC_TOKENS = 256;

/** The largest difference of service that VTC allows of two tenants who always wait. */
export const OVERLOAD_BOUND = 2 * Math.max(prices.prompt * VTC_TOKENS, prices.output * VTC_POOL);

/** The VTC paper's overload: two tenants that ask for 1.5 and 3 requests a second, of which fewer are served. */
export function overload(name: PolicyName, seconds: number) {
  const even = (tenant: string, rate: number): SimulatedRequest[] =>
    Array.from({ length: Math.floor(rate * seconds) }, (_, i) => ({
      at: i / rate,
      adapter: null,
      tenant,
      promptTokens: VTC_TOKENS,
      outputTokens: VTC_TOKENS,
    }));
  const trace = [...even("a", 1.5), ...even("b", 3)].sort((a, b) => a.at - b.at);
  const setting = { ...PAPER_SETTINGS["S2 A10G"], poolTokens: VTC_POOL };
  const policy = { ...POLICY_DEFAULTS, names: [name] };
  const done = simulate(trace, paperServer(setting, { policy }));
  const of = (tenant: string) => done.records.filter((_, i) => trace[i]?.tenant === tenant);
  const gap = serviceGap(of("a"), of("b"), prices, seconds);
  return { gap, requestsPerSecond: done.records.length / done.seconds };
}
