/** The nearest-rank percentile of ascending numbers, `share` in 0 to 1; NaN where there are none. */
export function percentile(ascending: ArrayLike<number>, share: number): number {
  const rank = Math.ceil(share * ascending.length);
  return ascending[Math.min(ascending.length, Math.max(1, rank)) - 1] ?? NaN;
}

/** p50, p90 and p99. */
export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Of numbers in any order. */
export function percentiles(numbers: Iterable<number>): Percentiles {
  const ascending = Float64Array.from(numbers).sort();
  const [p50, p90, p99] = [0.5, 0.9, 0.99].map((share) => percentile(ascending, share));
  return { p50: p50 ?? NaN, p90: p90 ?? NaN, p99: p99 ?? NaN };
}
