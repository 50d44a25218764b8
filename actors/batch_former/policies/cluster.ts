import type { AdapterId } from "../../../memory/ids.ts";
import type { Job, Policy } from "./policy.ts";

/**
 * Adapter clustering (S-LoRA section 4.2): at most `adapters` distinct ones in the batch, so those that are there
 * are used by as many as possible. Base jobs are never held up. The first that is held up gets its turn: after
 * `agingMs` only base jobs are admitted behind it until an adapter has left the batch.
 */
export function cluster(adapters: number, agingMs: number): Policy {
  let first: { readonly arrival: number; readonly since: number } | null = null;
  return {
    *screen(queue, { running, now }) {
      const inBatch = new Set<AdapterId>(running.flatMap(adaptersOf));
      let heldUp = false;
      let closed = false;
      for (const job of queue) {
        const others = adaptersOf(job).filter((adapter) => !inBatch.has(adapter));
        if (adaptersOf(job).length === 0) {
          yield job;
          continue;
        }
        // More adapters than all the room there is: alone in the batch, or never.
        const fits = inBatch.size + others.length <= adapters || inBatch.size === 0;
        if (!closed && (others.length === 0 || fits)) {
          for (const adapter of others) inBatch.add(adapter);
          yield job;
          continue;
        }
        if (heldUp) continue;
        heldUp = true;
        if (first?.arrival !== job.arrival) first = { arrival: job.arrival, since: now };
        closed = now - first.since >= agingMs;
      }
    },
  };
}

const adaptersOf = (job: Job): AdapterId[] => job.adapters.map((route) => route.adapter);
