import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { inverseFrequencies, ropeTable } from "../../../actors/executor/rope_table.ts";
import type { RopeConfig } from "../../../models/model_config.ts";

const llama3 = (factor: number): RopeConfig => ({
  theta: 500000,
  scaling: {
    kind: "llama3",
    factor,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositions: 8192,
  },
});

/** inv_freq of transformers 5.23.0's LlamaRotaryEmbedding: [dimension, frequency]. */
const FREQUENCIES: readonly {
  name: string;
  rope: RopeConfig;
  headDim: number;
  expected: readonly (readonly [number, number])[];
}[] = [
  {
    name: "Llama 3.1",
    rope: llama3(8),
    headDim: 128,
    // Up to 28 unscaled, from 36 on divided by the factor, a blend of both between.
    expected: [
      [0, 1.0],
      [1, 0.8146172165870667],
      [16, 0.03760603070259094],
      [28, 0.0032114461064338684],
      [29, 0.0021665706299245358],
      [31, 0.0008567514596506953],
      [33, 0.0003126936499029398],
      [35, 9.556212171446532e-05],
      [36, 7.784655463183299e-05],
      [48, 6.647869668086059e-06],
      [63, 3.068925877869333e-07],
    ],
  },
  {
    name: "Llama 3.2",
    rope: llama3(32),
    headDim: 64,
    expected: [
      [0, 1.0],
      [8, 0.03760603070259094],
      [14, 0.0032114461064338684],
      [15, 0.0012905480107292533],
      [16, 0.000429556705057621],
      [17, 9.708286233944818e-05],
      [18, 1.9461638657958247e-05],
      [31, 9.418306490260875e-08],
    ],
  },
  {
    name: "linear scaling",
    rope: { theta: 10000, scaling: { kind: "linear", factor: 4 } },
    headDim: 128,
    expected: [
      [0, 0.25],
      [1, 0.21649108827114105],
      [31, 0.002886954927816987],
      [63, 2.8869548259535804e-05],
    ],
  },
  {
    name: "no scaling",
    rope: { theta: 1e6, scaling: null },
    headDim: 96,
    expected: [
      [0, 1.0],
      [1, 0.7498942017555237],
      [23, 0.001333521562628448],
      [47, 1.3335210269360687e-06],
    ],
  },
];

/** Two units in the last place of f32: torch's powers are that exact. */
const ULPS = 2 * 2 ** -23;

for (const { name, rope, headDim, expected } of FREQUENCIES) {
  Deno.test(`inverseFrequencies() has transformers' numbers with ${name}`, () => {
    const frequencies = inverseFrequencies(rope, headDim);
    assertEquals(frequencies.length, headDim / 2);
    for (const [d, frequency] of expected) {
      assertAlmostEquals((frequencies[d] ?? NaN) / frequency, 1, ULPS, `dimension ${d}`);
    }
  });
}

Deno.test("ropeTable() has transformers' cosines and sines far into a Llama 3.1 sequence", () => {
  // LlamaRotaryEmbedding of transformers 5.23.0 at position 8191: [dimension, cos, sin].
  const expected = [
    [0, -0.6463904976844788, -0.7630068063735962],
    [1, 0.9773988127708435, -0.21140386164188385],
    [16, 0.9880229830741882, 0.1543067991733551],
    [29, 0.4507633149623871, -0.8926435112953186],
    [33, -0.8362877368927002, 0.5482907891273499],
    [48, 0.9985178112983704, 0.05442579463124275],
    [63, 0.9999968409538269, 0.0025137546472251415],
  ] as const;
  const table = ropeTable({ rope: llama3(8), headDim: 128 }, 8192);
  for (const [d, cos, sin] of expected) {
    const at = (8191 * 64 + d) * 2;
    // An angle of 8191 * f is as far off as f's last bit takes it.
    const tolerance = Math.max(1e-6, 8191 * (inverseFrequencies(llama3(8), 128)[d] ?? 0) * ULPS);
    assertAlmostEquals(table[at] ?? NaN, cos, tolerance);
    assertAlmostEquals(table[at + 1] ?? NaN, sin, tolerance);
  }
});

Deno.test("ropeTable() is cos and sin of position * theta^(-2d / headDim), to f32's angles", () => {
  const shapes = fc.record({
    theta: fc.constantFrom(1e4, 5e5, 1e6),
    headDim: fc.integer({ min: 1, max: 16 }).map((n) => n * 16),
    positions: fc.integer({ min: 1, max: 300 }),
  });
  fc.assert(
    fc.property(shapes, ({ theta, headDim, positions }) => {
      const table = ropeTable({ rope: { theta, scaling: null }, headDim }, positions);
      assertEquals(table.length, positions * headDim);
      for (let p = 0; p < positions; p += 1 + Math.floor(positions / 20)) {
        for (let d = 0; d < headDim / 2; d++) {
          const angle = p * Math.pow(theta, (-2 * d) / headDim);
          const [cos = NaN, sin = NaN] = table.subarray((p * headDim / 2 + d) * 2);
          const error = Math.hypot(cos - Math.cos(angle), sin - Math.sin(angle));
          assert(error <= 2 ** -20 * Math.max(1, angle), `position ${p}, dimension ${d}: ${error}`);
        }
      }
    }),
    { numRuns: 30 },
  );
});
