const SIZE = 624;
const SHIFT = 397;

/**
 * numpy's `RandomState`: the Mersenne Twister seeded with one integer, and its distributions as numpy has frozen
 * them (numpy/random/src/mt19937 and src/legacy), so that a published trace is the same here to the last request.
 */
export class NumpyRandom {
  readonly #state = new Uint32Array(SIZE);
  #at = SIZE;
  #spare: number | null = null;

  /** Seeds as `numpy.random.seed(seed)` does, 0 <= seed < 2^32. */
  constructor(seed: number) {
    let word = seed >>> 0;
    for (let i = 0; i < SIZE; i++) {
      this.#state[i] = word;
      word = (Math.imul(1812433253, word ^ (word >>> 30)) + i + 1) >>> 0;
    }
  }

  /** 32 random bits. */
  bits(): number {
    if (this.#at === SIZE) this.#refill();
    let word = this.#state[this.#at++] ?? 0;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  /** Uniform in [0, 1), 53 bits. */
  uniform(): number {
    const high = this.bits() >>> 5;
    return (high * 2 ** 26 + (this.bits() >>> 6)) / 2 ** 53;
  }

  /** `randint(low, high)`: low <= x < high. */
  integer(low: number, high: number): number {
    const range = high - low - 1;
    if (range === 0) return low;
    const mask = 2 ** (32 - Math.clz32(range)) - 1;
    let value = this.bits() & mask;
    while (value > range) value = this.bits() & mask;
    return low + value;
  }

  /** `power(a)`: density a x^(a-1) on [0, 1]. */
  power(a: number): number {
    return (1 - Math.exp(-this.#exponential())) ** (1 / a);
  }

  /** `gamma(shape, scale)`, its mean `shape * scale`. */
  gamma(shape: number, scale: number): number {
    return scale * this.#standardGamma(shape);
  }

  #refill(): void {
    const state = this.#state;
    for (let i = 0; i < SIZE; i++) {
      const word = ((state[i] ?? 0) & 0x80000000) | ((state[(i + 1) % SIZE] ?? 0) & 0x7fffffff);
      state[i] = (state[(i + SHIFT) % SIZE] ?? 0) ^ (word >>> 1) ^ (word & 1 ? 0x9908b0df : 0);
    }
    this.#at = 0;
  }

  #exponential(): number {
    return -Math.log(1 - this.uniform());
  }

  #standardGamma(shape: number): number {
    if (shape === 1) return this.#exponential();
    return shape < 1 ? this.#smallGamma(shape) : this.#largeGamma(shape);
  }

  #smallGamma(shape: number): number {
    while (true) {
      const u = this.uniform();
      const v = this.#exponential();
      if (u <= 1 - shape) {
        const x = u ** (1 / shape);
        if (x <= v) return x;
      } else {
        const y = -Math.log((1 - u) / shape);
        const x = (1 - shape + shape * y) ** (1 / shape);
        if (x <= v + y) return x;
      }
    }
  }

  /** Marsaglia and Tsang. */
  #largeGamma(shape: number): number {
    const b = shape - 1 / 3;
    const c = 1 / Math.sqrt(9 * b);
    while (true) {
      let x = 0;
      let v = 0;
      do {
        x = this.#normal();
        v = 1 + c * x;
      } while (v <= 0);
      v = v * v * v;
      const u = this.uniform();
      if (u < 1 - 0.0331 * x ** 4) return b * v;
      if (Math.log(u) < 0.5 * x * x + b * (1 - v + Math.log(v))) return b * v;
    }
  }

  /** The polar method, which makes two at a time. */
  #normal(): number {
    if (this.#spare !== null) {
      const spare = this.#spare;
      this.#spare = null;
      return spare;
    }
    while (true) {
      const x = 2 * this.uniform() - 1;
      const y = 2 * this.uniform() - 1;
      const r2 = x * x + y * y;
      if (r2 >= 1 || r2 === 0) continue;
      const f = Math.sqrt(-2 * Math.log(r2) / r2);
      this.#spare = f * x;
      return f * y;
    }
  }
}
