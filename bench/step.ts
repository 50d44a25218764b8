// Whole steps of a Llama-3-8B shape with random weights: decode over its bytes floor, prefill in TFLOP/s,
// the price of adapters, and how fast the model loads.
import { Command, Option } from "commander";
import type { EngineOptions } from "../actors/engine_options.ts";
import type { Executor, ExecutorParts } from "../actors/executor/executor.ts";
import { startExecutor } from "../actors/executor/start_executor.ts";
import { POLICY_DEFAULTS } from "../actors/policy_options.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import type { Route } from "../actors/executor/protocol.ts";
import type { AdapterImage } from "../models/adapter_image.ts";
import { LAYER_MODULES, type LayerModule, type ModelConfig } from "../models/model_config.ts";
import { errorOver } from "./support/error_over.ts";
import { numbers } from "./support/flags.ts";
import { clockLine } from "./support/clocks.ts";
import { copyRate } from "./support/copy_rate.ts";
import { randomImage } from "./support/random_image.ts";
import { providerOption } from "./support/provider_option.ts";
import { llama8b, writeRandomModel } from "./support/random_model.ts";
import { promptLogits } from "./support/prompt_logits.ts";
import { isSmall } from "./support/small.ts";
import { StepRunner } from "./support/step_runner.ts";
import { timeLoad } from "./support/time_load.ts";
import { createTimer } from "./support/timer.ts";

interface Flags {
  readonly gpu: Provider;
  readonly dtype: "auto" | "int8";
  readonly batches?: readonly number[];
  readonly out?: string;
}

/** A decode step that was timed. */
export interface DecodeStep {
  /** "base", or which adapters. */
  readonly name: string;
  readonly batch: number;
  readonly ms: number;
}

/** What all tables of one run have in common. */
interface Run {
  readonly config: ModelConfig;
  readonly steps: StepRunner;
  readonly small: boolean;
  /** Tokens that a decode step finds in each sequence. */
  readonly context: number;
  /** Bytes of the model's files, in f16. */
  readonly bytes: number;
  readonly int8: boolean;
  /** Bytes a second of a copy. */
  readonly rate: number;
}

const flagsOf = (args: readonly string[]): Flags =>
  new Command("deno task bench step")
    .description(
      "Whole steps of a random Llama-3-8B: load, decode over its floor, adapters, prefill",
    )
    .addOption(providerOption())
    .addOption(
      new Option("--dtype <dtype>", "of weights").choices(["auto", "int8"]).default("auto"),
    )
    .option("--batches <rows>", "decode with so many rows each, and nothing else", numbers)
    .option("--out <file>", "the decode steps as JSON")
    .parse([...args], { from: "user" }).opts<Flags>();

/** `deno task bench step`. */
export async function step(args: readonly string[]): Promise<void> {
  const { gpu: provider, dtype, batches: only, out } = flagsOf(args);
  const probe = await openDevice(provider);
  const rate = await copyRate(probe, await createTimer(probe));
  const small = isSmall(probe);
  const batches = only ?? (small ? [1, 4] : [1, 8, 16, 32, 64, 128]);
  const most = Math.max(...batches);

  const directory = await Deno.makeTempDir({
    prefix: "chorus-8b-",
    ...(small ? {} : { dir: "/dev/shm" }),
  });
  const bytes = await writeRandomModel(directory, llama8b(small));
  const load = await timeLoad(probe, directory, dtype);
  const start = performance.now();
  const { executor, parts } = await startExecutor(
    engineOptions(directory, provider, dtype, small),
    () => {},
  );
  const ready = (performance.now() - start) / 1000;
  const off = dtype === "int8"
    ? await logitsError(executor, parts, engineOptions(directory, provider, "auto", small))
    : null;
  await Deno.remove(directory, { recursive: true });
  const { config, layerLayout, device } = parts;
  console.log(`${device.description} through ${provider}: copy ${(rate / 1e12).toFixed(2)} TB/s`);
  console.log(
    `load ${(bytes / 1e9).toFixed(2)} GB in ${load.seconds.toFixed(2)} s, ` +
      `${(bytes / load.seconds / 1e9).toFixed(2)} GB/s; ` +
      `host memory grew by ${(load.hostBytes / 2 ** 20).toFixed(0)} MiB at most\n` +
      `cold start ${ready.toFixed(2)} s, ${(ready - load.seconds).toFixed(2)} s more than the load`,
  );
  if (off !== null) console.log(`logits, ||int8 - f16|| / ||f16||: ${off.toExponential(2)}`);

  const context = small ? 64 : 512;
  const steps = await StepRunner.create({ executor, parts, context, rows: most, small });
  const run = { config, steps, small, context, bytes, int8: dtype === "int8", rate };
  const base = await timeBase(run, batches);
  const adapted = only ? [] : await timeAdapters(run, base);
  if (out) await Deno.writeTextFile(out, JSON.stringify([...base, ...adapted]));
  if (!only) {
    await timePrefill(run);
    await timeMixed(run, Math.max(...batches) - 1);
    await profileSteps(run);
  }
  console.log(`\n${await clockLine()}`);
  console.log(`pages used ${steps.pagesUsed} of ${layerLayout.pages}`);
}

/** ||logits - those of the same files in 16 bits|| / ||these||, after a prompt. */
async function logitsError(
  executor: Executor,
  parts: ExecutorParts,
  sixteenBits: EngineOptions,
): Promise<number> {
  const count = 64;
  const seen = await promptLogits(executor, parts, count);
  const other = await startExecutor(sixteenBits, () => {});
  const right = await promptLogits(other.executor, other.parts, count);
  other.parts.device.gpu.destroy();
  return errorOver(Array.from(right, (value, i) => [seen[i] ?? NaN, value] as const));
}

const engineOptions = (
  modelDirectory: string,
  gpu: Provider,
  dtype: Flags["dtype"],
  small: boolean,
): EngineOptions => ({
  socket: "",
  epoch: 1,
  modelDirectory,
  gpu,
  dtype,
  maxModelLen: small ? 512 : 4096,
  poolBytes: small ? 64 * 2 ** 20 : 24 * 2 ** 30,
  headPoolBytes: null,
  adapterHostBytes: 2 ** 32,
  adapterLoadMs: 30_000,
  uploadBytesPerStep: 16 * 2 ** 20,
  maxBatchTokens: small ? 128 : 2048,
  maxRunning: 128,
  prefixCache: true,
  policy: POLICY_DEFAULTS,
  overCommit: null,
  maxRoutes: 1,
});

async function timeBase(run: Run, batches: readonly number[]): Promise<DecodeStep[]> {
  const { config, steps, context, int8 } = run;
  const kvBytes = context * config.layers * 2 * config.kvHeads * config.headDim * 2;
  const weightBytes = (run.bytes - embedBytes(config)) * (int8 ? 0.5 : 1);
  console.log(
    `\ndecode, ${int8 ? "int8" : "f16"}     B       ms  x floor  GPU idle   encode   submit`,
  );
  const timed: DecodeStep[] = [];
  for (const batch of batches) {
    const { step, encode, submit } = await steps.decode(batch, () => []);
    timed.push({ name: "base", batch, ms: step * 1e3 });
    const floor = (weightBytes + batch * kvBytes) / run.rate;
    const idle = Math.max(0, 1 - await steps.gpuSeconds(batch) / step);
    console.log(
      `base       ${String(batch).padStart(7)} ${ms(step)} ${ratio(step / floor)} ${
        `${(idle * 100).toFixed(1)} %`.padStart(9)
      } ${ms(encode)} ${ms(submit)}`,
    );
  }
  return timed;
}

async function timeAdapters(run: Run, base: readonly DecodeStep[]): Promise<DecodeStep[]> {
  const { steps } = run;
  const few = loraBatch(run);
  const most = Math.max(...base.map(({ batch }) => batch));
  const images = (...of: ImagesOf) => randomImages(run.config, ...of);
  const sets: [string, number, readonly AdapterImage[]][] = [
    ["one r=16 on q,k,v,o", few, images(1, [16], ATTENTION)],
    ["distinct r=16 on q,k,v,o", few, images(few, [16], ATTENTION)],
    ["distinct r=16 on all linears", few, images(few, [16], LAYER_MODULES)],
    ["distinct r=8-64 on q,k,v,o", few, images(few, [8, 16, 32, 64], ATTENTION)],
    ["distinct r=64 on q,k,v,o", few, images(few, [64], ATTENTION)],
    ["one r=8 on q,k,v,o", most, images(1, [8], ATTENTION)],
    ["distinct r=8 on q,k,v,o", most, images(most, [8], ATTENTION)],
  ];
  console.log("\nadapters                             B       ms   x base");
  const timed: DecodeStep[] = [];
  for (const [name, batch, adapters] of sets) {
    const { step } = await steps.withAdapters(
      adapters,
      (routes) => steps.decode(batch, inTurn(routes)),
    );
    timed.push({ name, batch, ms: step * 1e3 });
    const over = base.find((one) => one.batch === batch)?.ms ?? NaN;
    console.log(
      `${name.padEnd(30)} ${String(batch).padStart(7)} ${ms(step)} ${ratio(step * 1e3 / over)}`,
    );
  }
  return timed;
}

async function timePrefill({ config, steps, small, bytes }: Run): Promise<void> {
  console.log("\nprefill    tokens       ms  TFLOP/s   with one r=16 on q,k,v,o: x");
  for (const count of small ? [64] : [512, 2048]) {
    const seconds = await steps.prefill(count);
    const adapted = await steps.withAdapters(
      randomImages(config, 1, [16], ATTENTION),
      (routes) => steps.prefill(count, routes),
    );
    const flops = 2 * count * ((bytes - 2 * embedBytes(config)) / 2) +
      2 * 2 * config.layers * config.heads * config.headDim * count * count / 2;
    console.log(
      `${String(count).padStart(17)} ${(seconds * 1e3).toFixed(1).padStart(8)} ${
        (flops / seconds / 1e12).toFixed(1).padStart(8)
      } ${ratio(adapted / seconds)}`,
    );
  }
}

/** What a prompt's tokens cost beside decode rows: most steps of a busy server are like these. */
async function timeMixed({ steps, small }: Run, batch: number): Promise<void> {
  console.log("\nmixed      decode rows + prompt       ms   us a token of the prompt");
  // By itself and with the host's part, as the others are timed.
  const alone = await steps.mixed(batch, 0);
  for (const rows of small ? [16] : [160, 256, 384, 512, 768, 1152]) {
    const count = rows - batch;
    const seconds = await steps.mixed(batch, count);
    console.log(
      `${String(batch).padStart(22)} + ${String(count).padEnd(6)} ${ms(seconds)} ${
        ((seconds - alone) / count * 1e6).toFixed(1).padStart(26)
      }`,
    );
  }
}

async function profileSteps(run: Run): Promise<void> {
  const { steps } = run;
  const few = loraBatch(run);
  const adapted = randomImages(run.config, few, [16], ATTENTION);
  for (
    const [what, batch, adapters] of [
      ["", 1, []],
      ["", few, []],
      [", distinct r=16 on q,k,v,o", few, adapted],
    ] as const
  ) {
    console.log(`\nkernel time of a decode step, B=${batch}${what}: dispatches, ms`);
    const kernels = await steps.withAdapters(
      adapters,
      (routes) => steps.profile(batch, inTurn(routes)),
    );
    for (const [name, { count, seconds }] of kernels) {
      console.log(
        `${name.padEnd(40)} ${String(count).padStart(5)} ${(seconds * 1e3).toFixed(3).padStart(8)}`,
      );
    }
  }
}

const ATTENTION = ["q", "k", "v", "o"] as const;
/** Rows of the steps that adapters are timed in. */
const loraBatch = ({ small }: Run) => small ? 4 : 32;
const embedBytes = ({ vocabSize, hiddenSize }: ModelConfig) => vocabSize * hiddenSize * 2;

type ImagesOf = [count: number, ranks: readonly number[], modules: readonly LayerModule[]];

/** As many images as there are to be adapters; packed once, they become distinct where they are uploaded. */
function randomImages(config: ModelConfig, ...[count, ranks, modules]: ImagesOf): AdapterImage[] {
  const made = ranks.map((rank) => randomImage(config, rank, modules));
  return Array.from({ length: count }, (_, i) => made[i % made.length] as AdapterImage);
}

const inTurn = (routes: readonly Route[]) => (row: number) => {
  const route = routes[row % routes.length];
  return route ? [route] : [];
};

const ms = (seconds: number) => (seconds * 1e3).toFixed(2).padStart(8);
const ratio = (over: number) => over.toFixed(2).padStart(8);
