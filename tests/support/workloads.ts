import { randomSource } from "./random.ts";

/** Which adapter each token uses, by the names of traffic that Punica's benchmarks use; null is base. */
export const WORKLOADS = ["none", "identical", "distinct", "uniform", "skewed", "zipf"] as const;
export type Workload = (typeof WORKLOADS)[number];

export function assignAdapters(
  workload: Workload,
  tokens: number,
  adapters: number,
  seed = 1,
): (number | null)[] {
  const random = randomSource(seed);
  return Array.from({ length: tokens }, (_, t) => {
    switch (workload) {
      case "none":
        return null;
      case "identical":
        return 0;
      case "distinct":
        return t % adapters;
      // Base rows among the others, as in real traffic.
      case "uniform":
        return random() < 0.2 ? null : Math.floor(random() * adapters);
      case "skewed":
        return random() < 0.8 ? 0 : Math.floor(random() * adapters);
      case "zipf":
        return Math.min(adapters - 1, Math.floor(Math.exp(random() * Math.log(adapters + 1)) - 1));
    }
  });
}
