import type { AdapterId } from "../../../memory/ids.ts";
import type { Job, Policy } from "./policy.ts";

/**
 * Adapter clustering (S-LoRA section 4.2, ClusterReqQueue): a batch that has `adapters` distinct ones takes others
 * only into room that jobs for those in it, and for the base model, leave. The first of the others gets its turn: when
 * jobs behind it have gone before it for `agingMs` it is tried before all.
 */
export function cluster(adapters: number, agingMs: number): Policy {
  let first: { readonly job: Job; readonly since: number } | null = null;
  // Who was tried before all and is still here waits for its adapter, or for room.
  const due = new WeakSet<Job>();
  return {
    *order(queue, { running, now }) {
      const inBatch = new Set<AdapterId>(running.flatMap(adaptersOf));
      if (inBatch.size < adapters) return yield* queue;
      const jobs = [...queue];
      const stranger = (job: Job) => adaptersOf(job).some((adapter) => !inBatch.has(adapter));
      const strangers = jobs.filter(stranger);
      const [next] = strangers;
      // Whoever else the other policies put first meanwhile: its time goes on while it waits.
      const waiting: Job[] = strangers;
      if (!first || !waiting.includes(first.job)) first = next ? { job: next, since: now } : null;
      if (first && now - first.since >= agingMs) due.add(first.job);
      yield* strangers.filter((job) => due.has(job));
      yield* jobs.filter((job) => !stranger(job));
      yield* strangers.filter((job) => !due.has(job));
    },
    admitted: (job) => void due.delete(job),
  };
}

const adaptersOf = (job: Job): AdapterId[] => job.adapters.map((route) => route.adapter);
