// Whole steps of a Llama-3-8B shape with random weights: decode over its bytes floor, prefill in TFLOP/s,
// the price of adapters, and how fast the model loads.
import { parseArgs } from "node:util";
import { startExecutor } from "../actors/executor/start_executor.ts";
import { POLICY_DEFAULTS } from "../actors/policy_options.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import type { AdapterImage } from "../models/adapter_image.ts";
import { LAYER_MODULES, type LayerModule } from "../models/model_config.ts";
import { clockLine } from "./support/clocks.ts";
import { copyRate } from "./support/copy_rate.ts";
import { randomImage } from "./support/random_image.ts";
import { llama8b, writeRandomModel } from "./support/random_model.ts";
import { isSmall } from "./support/small.ts";
import { StepRunner } from "./support/step_runner.ts";
import { createTimer } from "./support/timer.ts";

const provider = (Deno.env.get("CHORUS_GPU") ?? "builtin") as Provider;
const probe = await openDevice(provider);
const rate = await copyRate(probe, await createTimer(probe));
const small = isSmall(probe);
const CONTEXT = small ? 64 : 512;
const { values: flags } = parseArgs({
  args: Deno.args.filter((arg) => arg !== "step"),
  options: { dtype: { type: "string" }, batches: { type: "string" } },
});
const dtype = flags.dtype === "int8" ? "int8" : "auto";
/** Only these batches, and nothing but decoding. */
const only = flags.batches?.split(",").map(Number);
const BATCHES = only ?? (small ? [1, 4] : [1, 8, 16, 32, 64, 128]);
const PREFILLS = small ? [64] : [512, 2048];

const directory = await Deno.makeTempDir({
  prefix: "chorus-8b-",
  ...(small ? {} : { dir: "/dev/shm" }),
});
const bytes = await writeRandomModel(directory, llama8b(small));
const loadStart = performance.now();
let loadedAt = loadStart;
const idleRss = Deno.memoryUsage().rss;
let peakRss = idleRss;
const { executor, parts } = await startExecutor({
  socket: "",
  epoch: 1,
  modelDirectory: directory,
  gpu: provider,
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
}, ({ label }) => {
  if (label !== "weights") return;
  loadedAt = performance.now();
  peakRss = Math.max(peakRss, Deno.memoryUsage().rss);
});
await Deno.remove(directory, { recursive: true });
const { config, layerLayout, device } = parts;
console.log(`${device.description} through ${provider}: copy ${(rate / 1e12).toFixed(2)} TB/s`);
console.log(
  `load ${(bytes / 1e9).toFixed(2)} GB in ${((loadedAt - loadStart) / 1000).toFixed(2)} s, ` +
    `${(bytes / (loadedAt - loadStart) / 1e6).toFixed(2)} GB/s; ` +
    `host memory grew by ${((peakRss - idleRss) / 2 ** 20).toFixed(0)} MiB at most; ` +
    `pipelines and pools ${((performance.now() - loadedAt) / 1000).toFixed(2)} s`,
);

const steps = await StepRunner.create({
  executor,
  parts,
  context: CONTEXT,
  rows: Math.max(...BATCHES),
  small,
});
const embedBytes = config.vocabSize * config.hiddenSize * 2;
const kvBytes = CONTEXT * config.layers * 2 * config.kvHeads * config.headDim * 2;
const base = new Map<number, number>();
const ms = (seconds: number) => (seconds * 1e3).toFixed(2).padStart(8);
const ratio = (over: number) => over.toFixed(2).padStart(8);

console.log(
  `\ndecode, ${
    dtype === "int8" ? "int8" : "f16"
  }     B       ms  x floor  GPU idle   encode   submit`,
);
for (const batch of BATCHES) {
  const { step, encode, submit } = await steps.decode(batch, () => []);
  base.set(batch, step);
  const weights = (bytes - embedBytes) * (dtype === "int8" ? 0.5 : 1);
  const floor = (weights + batch * kvBytes) / rate;
  const idle = Math.max(0, 1 - await steps.gpuSeconds(batch) / step);
  console.log(
    `base       ${String(batch).padStart(7)} ${ms(step)} ${ratio(step / floor)} ${
      `${(idle * 100).toFixed(1)} %`.padStart(9)
    } ${ms(encode)} ${ms(submit)}`,
  );
}

if (only) Deno.exit(0);

const ATTENTION = ["q", "k", "v", "o"] as const;
const loraBatch = small ? 4 : 32;
const plain = base.get(loraBatch) ?? NaN;
console.log(`\nadapters, B=${loraBatch}                     ms   x base`);
/** As many images as there are to be adapters; packed once, they become distinct where they are uploaded. */
const images = (count: number, ranks: readonly number[], modules: readonly LayerModule[]) => {
  const made = ranks.map((rank) => randomImage(config, rank, modules));
  return Array.from({ length: count }, (_, i) => made[i % made.length] as AdapterImage);
};
const sets: [string, readonly AdapterImage[]][] = [
  ["one r=16 on q,k,v,o", images(1, [16], ATTENTION)],
  ["distinct r=16 on q,k,v,o", images(loraBatch, [16], ATTENTION)],
  ["distinct r=16 on all linears", images(loraBatch, [16], LAYER_MODULES)],
  ["distinct r=8-64 on q,k,v,o", images(loraBatch, [8, 16, 32, 64], ATTENTION)],
  ["distinct r=64 on q,k,v,o", images(loraBatch, [64], ATTENTION)],
];
for (const [name, adapters] of sets) {
  const { step } = await steps.withAdapters(adapters, (routes) =>
    steps.decode(loraBatch, (row) => {
      const route = routes[row % routes.length];
      return route ? [route] : [];
    }));
  console.log(`${name.padEnd(30)} ${ms(step)} ${ratio(step / plain)}`);
}

console.log("\nprefill    tokens       ms  TFLOP/s");
for (const count of PREFILLS) {
  const seconds = await steps.prefill(count);
  const flops = 2 * count * ((bytes - 2 * embedBytes) / 2) +
    2 * 2 * config.layers * config.heads * config.headDim * count * count / 2;
  console.log(
    `${String(count).padStart(17)} ${(seconds * 1e3).toFixed(1).padStart(8)} ${
      (flops / seconds / 1e12).toFixed(1).padStart(8)
    }`,
  );
}
for (const batch of small ? [1] : [1, 32]) {
  console.log(`\nkernel time of a decode step, B=${batch}    dispatches       ms`);
  for (const [name, { count, seconds }] of await steps.profile(batch)) {
    console.log(
      `${name.padEnd(40)} ${String(count).padStart(5)} ${(seconds * 1e3).toFixed(3).padStart(8)}`,
    );
  }
}
console.log(`\n${await clockLine()}`);
console.log(`pages used ${steps.pagesUsed} of ${layerLayout.pages}`);
Deno.exit(0);
