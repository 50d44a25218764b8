/** Deterministic uniform numbers in [0, 1) (mulberry32). */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** `count` numbers, uniform in [-scale, scale). */
export function randomFloats(
  random: () => number,
  count: number,
  scale = 1,
): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, () => (random() * 2 - 1) * scale);
}

/** The numbers 0 .. count - 1 in random order. */
export function shuffled(random: () => number, count: number): number[] {
  const numbers = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    [numbers[i], numbers[j]] = [numbers[j] ?? 0, numbers[i] ?? 0];
  }
  return numbers;
}
