import type { Policy } from "./policy.ts";

/** Part of the bound that is kept for the prompt: 0.5 s of S-LoRA's 6. */
const MARGIN = 1 / 12;
/** How often the rates are looked at, as part of the bound: 0.5 s of 6, which is about ten steps where S-LoRA ran. */
const PERIOD = 1 / 12;
/** Weight of the newest in both rates. */
const NEW = 0.7;

/**
 * S-LoRA's early abort (section 4.3, and AbortReqQueue): a job that cannot have its first token within `sloMs` any
 * more is given up. Where more arrive than are admitted the latest are tried first, for they are those that can
 * still be served in time; otherwise the oldest. Rates are `0.7 x newest + 0.3 x before`, in jobs a period.
 */
export function earlyAbort(sloMs: number): Policy {
  const period = sloMs * PERIOD;
  const patience = sloMs * (1 - MARGIN);
  let [arrivals, admissions] = [0, 0];
  let [arrivalRate, admissionRate] = [0, 0];
  let since: number | null = null;

  function look(now: number): void {
    since ??= now;
    if (now - since < period) return;
    // What came in a longer time is what came in each of its periods.
    const periods = (now - since) / period;
    arrivalRate = NEW * arrivals / periods + (1 - NEW) * arrivalRate;
    admissionRate = NEW * admissions / periods + (1 - NEW) * admissionRate;
    [arrivals, admissions, since] = [0, 0, now];
  }

  return {
    order(queue, { now }) {
      look(now);
      const jobs = [...queue];
      if (arrivalRate < Math.max(1, admissionRate)) return jobs;
      // Those that have begun are never given up, so they must not wait for ever.
      return [...jobs.filter((job) => job.begun), ...jobs.filter((job) => !job.begun).reverse()];
    },
    shed(queue, { now }) {
      const late = queue.filter((job) => !job.begun && now - job.submittedAt >= patience);
      return late.map((job) => {
        const waited = ((now - job.submittedAt) / 1000).toFixed(1);
        const error = `Cannot answer in time: it waited ${waited} s, and the first token is to ` +
          `come within ${sloMs / 1000} s`;
        return { job, error };
      });
    },
    arrived(_job, _queue, now) {
      look(now);
      arrivals++;
    },
    admitted(_job, _tokens, now) {
      look(now);
      admissions++;
    },
  };
}
