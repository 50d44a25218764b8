import type { Prices } from "../../actors/policy_options.ts";
import type { LoadRecord } from "./offered_load.ts";

/**
 * The largest difference until `seconds` between what two sets of requests were served, in
 * `w_p prompt + w_q output` tokens: the prompt with the first token, every token as it came.
 */
export function serviceGap(
  one: readonly LoadRecord[],
  other: readonly LoadRecord[],
  prices: Prices,
  seconds: number,
): number {
  const served = [...serviceOf(one, prices), ...serviceOf(other, prices, -1)]
    .filter(({ at }) => at <= seconds)
    .sort((a, b) => a.at - b.at);
  let [difference, gap] = [0, 0];
  for (const { cost } of served) {
    difference += cost;
    gap = Math.max(gap, Math.abs(difference));
  }
  return gap;
}

/** What was served until `seconds`. */
export const serviceUntil = (
  records: readonly LoadRecord[],
  prices: Prices,
  seconds: number,
): number =>
  serviceOf(records, prices).reduce((sum, { at, cost }) => sum + (at <= seconds ? cost : 0), 0);

function serviceOf(records: readonly LoadRecord[], prices: Prices, sign = 1) {
  return records.flatMap(({ due, firstToken, gaps, promptTokens }) => {
    if (firstToken === null) return [];
    let at = due + firstToken;
    const first = { at, cost: sign * (prices.prompt * promptTokens + prices.output) };
    return [first, ...gaps.map((gap) => ({ at: at += gap, cost: sign * prices.output }))];
  });
}
