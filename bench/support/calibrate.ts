import { summarize } from "./load_summary.ts";
import { paperServer, type PaperSetting, paperTrace } from "./paper_settings.ts";
import { simulate } from "./simulation.ts";
import { syntheticTrace } from "./trace.ts";

/** How much slower than ours the setting's card is, found by halving until one adapter has the paper's throughput. */
export function calibrate(setting: PaperSetting): number {
  const trace = syntheticTrace(paperTrace(setting, { adapters: 1 }));
  let [fast, slow] = [0.02, 10];
  for (let i = 0; i < 14; i++) {
    const middle = Math.sqrt(fast * slow);
    const run = simulate(trace, paperServer({ ...setting, slower: middle }));
    if (summarize(run, 1).requestsPerSecond > setting.oneAdapter) fast = middle;
    else slow = middle;
  }
  return slow;
}
