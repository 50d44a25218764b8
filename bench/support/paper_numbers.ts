/** Numbers of S-LoRA's own runs (raw results in its repository, benchmarks/paper), to stand beside ours. */

/** Requests a second over adapters: figure 5. */
export const PAPER_OVER_ADAPTERS = {
  "S1 A10G": { 1: 1.831, 20: 1.812, 50: 1.788, 100: 1.781, 200: 1.775 },
  "S2 A10G": { 1: 1.744, 20: 1.68, 50: 1.606, 100: 1.593, 200: 1.576 },
  "S4 A100-40": { 1: 1.671, 20: 1.523, 50: 1.445, 100: 1.411, 200: 1.408 },
  "S2 A100-80": { 1: 7.737, 20: 7.926, 50: 7.837, 100: 7.742, 200: 7.517 },
  "S4 A100-80": { 1: 4.429, 100: 4.301, 200: 4.172, 400: 4.056, 1000: 3.96 },
} as const;

/** Requests a second over adapters, 10 offered a second for 120 s on an A100 of 80 GB: table 3. */
export const PAPER_TABLE_3 = {
  "S1 A100-80": { 5: 8.046, 100: 7.992, 1000: 7.641, 2000: 7.607 },
  "S2 A100-80": { 5: 7.485, 100: 7.29, 1000: 6.693, 2000: 6.727 },
  "S4 A100-80": { 2: 4.491, 100: 4.283, 1000: 3.903 },
} as const;

/** Requests a second offered, then those served, mean time to the first token (s) and attainment: figure 6. */
export const PAPER_OVER_RATE = {
  "S2 A10G": {
    adapters: 200,
    rates: [
      [1, 0.961, 0.32, 1],
      [1.5, 1.364, 1.17, 0.978],
      [2, 1.575, 23.6, 0.272],
      [2.5, 1.536, 87.4, 0.055],
    ],
  },
  "S4 A100-80": {
    adapters: 400,
    rates: [
      [1, 0.942, 0.36, 1],
      [2, 1.838, 0.5, 1],
      [4, 3.539, 0.74, 1],
      [6, 4.012, 60, 0.102],
      [8, 4.017, 136.5, 0.059],
    ],
  },
} as const;

/** The burstiness of figure 10's columns. */
export const CVS = [1, 2, 4, 6, 8] as const;

/** Attainment and satisfaction over the burstiness: figure 10. NaN: we have not got the number. */
export const PAPER_OVER_CV = {
  "S1 A10G": {
    adapters: 200,
    fcfs: [[0.517, NaN], [], [], [], [0.48, NaN]],
    abort: [[0.942, 0.902], [], [], [], [0.743, 0.632]],
  },
  "S2 A10G": {
    adapters: 200,
    fcfs: [[0.27, 0.197], [0.263, 0.227], [0.433, 0.371], [0.408, 0.369], [0.315, 0.263]],
    abort: [[0.858, 0.755], [0.817, 0.713], [0.743, 0.666], [0.69, 0.631], [0.637, 0.547]],
  },
  "S4 A100-80": {
    adapters: 400,
    fcfs: [[0.101, 0.096], [0.101, 0.094], [0.099, 0.087], [0.279, 0.206], [0.136, 0.077]],
    abort: [[0.719, 0.646], [0.719, 0.633], [0.685, 0.587], [0.66, 0.538], [0.562, 0.394]],
  },
} as const;

/** Requests a second and attainment over d, 32 adapters, 120 s: S4 on an A100 of 40 GB. */
export const PAPER_OVER_D: Readonly<Record<number, readonly [number, number]>> = {
  1: [1.232, 0.504],
  2: [1.256, 0.492],
  4: [1.259, 0.508],
  8: [1.252, 0.487],
  32: [1.169, 0.275],
};

/** The VTC paper's largest differences of service (its repository's fair_bench): FCFS, then VTC. */
export const PAPER_VTC_OVERLOAD = [259_096, 1_052] as const;
