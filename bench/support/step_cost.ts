import {
  MEASURED_ADAPTERS,
  MEASURED_ATTENTION,
  MEASURED_STEPS,
  MEASURED_UPLOAD,
  type MeasuredStep,
} from "./measured_steps.ts";

/** What there is to do in a step. */
export interface StepWork extends Omit<MeasuredStep, "ms"> {
  /** Of the distinct adapters in it. */
  readonly adapterBytes: number;
}

/** `base + row rows + prompt promptTokens + context context [+ adapters + byte adapterBytes]`, in milliseconds. */
export interface StepCost {
  readonly base: number;
  readonly row: number;
  readonly prompt: number;
  readonly context: number;
  /** Of a step with any adapter in it. */
  readonly adapters: number;
  readonly byte: number;
  /** A byte of an adapter on its way to the GPU. */
  readonly uploadByte: number;
}

/**
 * Fitted to what was measured: base, rows and prompt by least squares of the relative errors; context from the
 * attention kernel alone, since all steps were timed at one context; adapters from the differences of one run.
 */
export function fittedCost(): StepCost {
  const { layers, us, context: tokens } = MEASURED_ATTENTION;
  const [[few, least], [many, most]] = us;
  const context = (most - least) / ((many - few) * tokens) * layers / 1000;
  const [base = 0, row = 0, prompt = 0] = leastSquares(MEASURED_STEPS.map((step) => {
    const weight = 1 / step.ms;
    const features = [1, step.rows, step.promptTokens].map((feature) => feature * weight);
    return { features, value: (step.ms - context * step.context) * weight };
  }));
  const { base: without, one, distinct, count, bytes } = MEASURED_ADAPTERS;
  const byte = (distinct - one) / ((count - 1) * bytes);
  const adapters = one - without - byte * bytes;
  return { base, row, prompt, context, adapters, byte, uploadByte: 1000 / MEASURED_UPLOAD };
}

/** Milliseconds. */
export const stepMs = (cost: StepCost, work: StepWork): number =>
  cost.base + cost.row * work.rows + cost.prompt * work.promptTokens +
  cost.context * work.context +
  (work.adapterBytes > 0 ? cost.adapters + cost.byte * work.adapterBytes : 0);

/** The same on a machine that takes `factor` times as long for everything. */
export function slower(cost: StepCost, factor: number): StepCost {
  const scaled = Object.entries(cost).map(([name, ms]) => [name, ms * factor]);
  return Object.fromEntries(scaled) as unknown as StepCost;
}

interface Sample {
  readonly features: readonly number[];
  readonly value: number;
}

/** Solves the normal equations by elimination. */
function leastSquares(samples: readonly Sample[]): number[] {
  const size = samples[0]?.features.length ?? 0;
  const sum = (term: (sample: Sample) => number) => samples.reduce((s, each) => s + term(each), 0);
  const rows = Array.from({ length: size }, (_, i) => [
    ...Array.from(
      { length: size },
      (_, j) => sum(({ features }) => (features[i] ?? 0) * (features[j] ?? 0)),
    ),
    sum(({ features, value }) => (features[i] ?? 0) * value),
  ]);
  for (let i = 0; i < size; i++) {
    const pivot = rows[i] ?? [];
    const scale = pivot[i] ?? 1;
    for (let k = 0; k <= size; k++) pivot[k] = (pivot[k] ?? 0) / scale;
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = row[i] ?? 0;
      for (let k = 0; k <= size; k++) row[k] = (row[k] ?? 0) - factor * (pivot[k] ?? 0);
    }
  }
  return rows.map((row) => row[size] ?? 0);
}
