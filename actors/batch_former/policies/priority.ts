import type { Policy } from "./policy.ts";

/** Strict classes: nobody is tried while one of a lower number waits and fits, and the highest numbers lose pages first. */
export function priority(): Policy {
  return {
    order: (queue) => [...queue].sort((a, b) => a.priority - b.priority),
    rank: (job) => job.priority,
  };
}
