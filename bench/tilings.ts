// Which tilings of the projections suit a card: some at random beside the one in use, for whoever tunes
// actors/executor/linear_variants.ts for a card that is not the one it was tuned on.
import { Command, Option } from "commander";
import {
  chooseVariant,
  type LinearVariant,
  linearVariants,
} from "../actors/executor/linear_variants.ts";
import { Compiler } from "../kernels/compiler.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import {
  linearMatrix,
  linearMatrixHeader,
  linearMatrixWork,
  type MatrixTiling,
} from "../kernels/linear_matrix/linear_matrix.ts";
import type { MatrixUnits } from "../kernels/matrix_units.ts";
import { loadModelConfig, parseModelConfig } from "../models/parse_config.ts";
import { clockLine } from "./support/clocks.ts";
import { copyRate } from "./support/copy_rate.ts";
import { notNegative, numbers, positive } from "./support/flags.ts";
import type { KernelCase, KernelSite } from "./kernel_cases/kernel_case.ts";
import {
  projectionCase,
  type ProjectionShape,
  projectionShapes,
  turningWeights,
} from "./kernel_cases/projection_cases.ts";
import { llama8b } from "./support/random_model.ts";
import { randomTilings } from "./support/random_tilings.ts";
import { isSmall } from "./support/small.ts";
import { createTimer, type Timer } from "./support/timer.ts";

interface Flags {
  readonly gpu: Provider;
  readonly model?: string;
  readonly matrices: string;
  readonly rows: readonly number[];
  readonly tries: number;
  readonly seed: number;
}

const flagsOf = (args: readonly string[]): Flags =>
  new Command("deno task bench tilings")
    .description("Tilings for matrix units at random, beside the one that a step chooses")
    .addOption(
      new Option("--gpu <provider>", "WebGPU provider").choices(["builtin", "dawn"]).env(
        "CHORUS_GPU",
      )
        .default("dawn"),
    )
    .option("--model <dir>", "whose shapes (its config.json; default: Llama-3-8B's)")
    .option("--matrices <names>", "of qkv,o,gate_up,down", "qkv,o,gate_up,down")
    .option("--rows <rows>", "of x", numbers, [16, 32, 64, 128, 256])
    .option("--tries <count>", "tilings of each matrix and number of rows", positive, 40)
    .option("--seed <seed>", "of what is tried", notNegative, 42)
    .parse([...args], { from: "user" }).opts<Flags>();

/** Of each, the tilings that are printed. */
const SHOWN = 5;

/** `deno task bench tilings`. */
export async function tilings(args: readonly string[]): Promise<void> {
  const flags = flagsOf(args);
  const device = await openDevice(flags.gpu);
  const units = device.matrices;
  if (!units) return console.log(`${device.description} through ${flags.gpu}: no matrix units`);
  const timer = await createTimer(device);
  const small = isSmall(device);
  const config = flags.model
    ? await loadModelConfig(flags.model)
    : parseModelConfig(llama8b(small), "bench");
  const site = { device, compiler: new Compiler(device), config, small };
  const copied = await copyRate(device, timer);
  console.log(
    `${device.description} through ${flags.gpu}: copy ${(copied / 1e12).toFixed(3)} TB/s`,
  );
  console.log(
    "matrix     rows        us  x copy    error  rows x outputs, slice; subgroups; workgroups, slices ahead",
  );
  for (const shape of projectionShapes(config)) {
    if (!flags.matrices.split(",").includes(shape.name)) continue;
    const weights = turningWeights(site, shape);
    for (const rows of flags.rows) {
      const tried = randomTilings(units, site.compiler, {
        ...{ rows, out: shape.out, count: flags.tries, seed: flags.seed },
      });
      const inUse = chooseVariant(
        linearVariants(site.compiler, shape.input),
        rows,
        shape.out,
      );
      const all = [
        ...inUse ? [{ variant: inUse, words: `${wordsOf(inUse.header)} (in use)` }] : [],
        ...tried.map((tiling) => ({
          variant: variantOf(tiling, units),
          words: wordsOf({ ...tiling }),
        })),
      ];
      for (const line of await fastest(site, timer, all, shape, rows, { weights, copied })) {
        console.log(line);
      }
    }
    for (const { buffer } of weights) buffer.destroy();
  }
  console.log(await clockLine());
}

type Variant = Pick<LinearVariant, "kernel" | "header" | "planes" | "work">;

const variantOf = (tiling: MatrixTiling, units: MatrixUnits): Variant => ({
  kernel: linearMatrix,
  header: linearMatrixHeader(tiling, units),
  planes: tiling.SPLIT,
  work: (...sizes) => linearMatrixWork(tiling, units, ...sizes),
});

/** In docs/performance.md's words. */
function wordsOf(header: Readonly<Record<string, number>>): string {
  const { TILE_ROWS, TILE_OUTS, SLICE, ROW_GROUPS, OUT_GROUPS, K_GROUPS, SPLIT, AHEAD } = header;
  if (TILE_ROWS === undefined) return Object.values(header).join(" ");
  return `${TILE_ROWS} x ${TILE_OUTS}, ${SLICE}; ${ROW_GROUPS} x ${OUT_GROUPS} x ${K_GROUPS}; ` +
    `${SPLIT}, ${AHEAD}`;
}

/** Lines of the one in use, which comes first, and of the fastest. */
async function fastest(
  site: KernelSite,
  timer: Timer,
  all: readonly { readonly variant: Variant; readonly words: string }[],
  shape: ProjectionShape,
  rows: number,
  { weights, copied }: { weights: Parameters<typeof projectionCase>[4]; copied: number },
): Promise<string[]> {
  const timed: { words: string; seconds: number; error: number }[] = [];
  const line = async (one: KernelCase, words: string) => {
    using tried = one;
    const seconds = await timer.time(tried.run, 3);
    timed.push({ words, seconds, error: await tried.error() });
  };
  // Compiled side by side, where the provider has threads for it.
  const cases = all.map(({ variant }) => projectionCase(site, variant, shape, rows, weights));
  for (const [i, { words }] of all.entries()) {
    const one = await cases[i];
    if (one) await line(one, words);
  }
  const [inUse, ...others] = timed;
  const best = others.sort((a, b) => a.seconds - b.seconds).slice(0, SHOWN);
  return [...inUse ? [inUse] : [], ...best].map(({ words, seconds, error }) =>
    [
      shape.name.padEnd(8),
      String(rows).padStart(6),
      (seconds * 1e6).toFixed(1).padStart(9),
      (seconds * copied / (shape.input * shape.out * 2)).toFixed(2).padStart(7),
      error.toExponential(1).padStart(8),
      ` ${words}`,
    ].join(" ")
  );
}
