// The kernels of a step at Llama-3-8B's shapes: time, achieved rates, their ratios to a copy kernel and to arithmetic in
// registers alone that are timed in the same run, and their error. Of projections the variant that a step chooses; with
// --all, every one that could serve.
import { Command } from "commander";
import { Compiler } from "../kernels/compiler.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import { parseModelConfig } from "../models/parse_config.ts";
import { attentionCase } from "./kernel_cases/attention_case.ts";
import { PROMPT_ROWS } from "./kernel_cases/case_step.ts";
import type { KernelCase, KernelSite, MakeCase } from "./kernel_cases/kernel_case.ts";
import { normCase } from "./kernel_cases/norm_case.ts";
import { projectionCases } from "./kernel_cases/projection_cases.ts";
import { ropeCase } from "./kernel_cases/rope_case.ts";
import { sampleCase } from "./kernel_cases/sample_case.ts";
import { swigluCase } from "./kernel_cases/swiglu_case.ts";
import { clockLine } from "./support/clocks.ts";
import { copyRate } from "./support/copy_rate.ts";
import { dot4Rate } from "./support/dot4_rate.ts";
import { fmaRate } from "./support/fma_rate.ts";
import { matrixRate } from "./support/matrix_rate.ts";
import { providerOption } from "./support/provider_option.ts";
import { llama8b } from "./support/random_model.ts";
import { isSmall } from "./support/small.ts";
import { createTimer } from "./support/timer.ts";

const flagsOf = (args: readonly string[]) =>
  new Command("deno task bench kernels")
    .description(
      "Every hot kernel at Llama-3-8B shapes, over a copy and arithmetic in registers of the same run",
    )
    .addOption(providerOption())
    .option("--all", "every variant of a projection, not only the one that a step would choose")
    .parse([...args], { from: "user" })
    .opts<{ readonly gpu: Provider; readonly all?: true }>();

/** `deno task bench kernels`. */
export async function kernels(args: readonly string[]): Promise<void> {
  const { gpu: provider, all = false } = flagsOf(args);
  const device = await openDevice(provider);
  const timer = await createTimer(device);
  const small = isSmall(device);
  const config = parseModelConfig(llama8b(small), "bench");
  const site = { device, compiler: new Compiler(device), config, small };

  const copied = await copyRate(device, timer);
  const fma = await fmaRate(device, timer);
  const matrix = await matrixRate(device, timer);
  const tera = (rate: number) => `${(rate / 1e12).toFixed(1)} TFLOP/s`;
  console.log(
    `${device.description} through ${provider}: copy ${(copied / 1e12).toFixed(3)} TB/s, f32 fma ` +
      `${tera(fma)}, dot4 of bytes ${tera(await dot4Rate(device, timer))}, f16 matrix units ` +
      (matrix === null ? "none" : tera(matrix)),
  );
  console.log(
    `${"kernel".padEnd(44)} ${
      "what".padEnd(12)
    }   rows        us     TB/s  x copy  TFLOP/s  of peak    error`,
  );
  const peaks = { fma, matrix: matrix ?? fma };
  for await (const one of cases(site, all)) {
    using timed = one;
    const { kernel, what, rows, bytes, flops, peak, run } = timed;
    const seconds = await timer.time(run);
    console.log([
      kernel.padEnd(44),
      what.padEnd(12),
      String(rows).padStart(6),
      (seconds * 1e6).toFixed(1).padStart(9),
      (bytes / seconds / 1e12).toPrecision(3).padStart(8),
      (seconds * copied / bytes).toFixed(2).padStart(7),
      (flops / seconds / 1e12).toPrecision(3).padStart(8),
      (flops / seconds / peaks[peak]).toFixed(3).padStart(8),
      (await timed.error()).toExponential(1).padStart(8),
    ].join(" "));
  }
  console.log(await clockLine());
}

async function* cases(site: KernelSite, everyVariant: boolean): AsyncGenerator<KernelCase> {
  const rowCounts = site.small ? [1, 32] : [1, 4, 8, 16, 32, 64, 128, 512, 2048];
  yield* projectionCases(site, rowCounts, everyVariant);
  for (const rows of rowCounts) yield await attentionCase(site, rows);
  if (site.small) yield await attentionCase(site, 512);
  for (const rows of rowCounts) {
    // Of a prompt one row alone is sampled.
    const small: MakeCase[] = [ropeCase, normCase, swigluCase];
    if (rows < PROMPT_ROWS) small.push(sampleCase);
    for (const make of small) yield await make(site, rows);
  }
}
