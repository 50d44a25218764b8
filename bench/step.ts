// Whole steps of a Llama-3-8B shape with random weights: decode over its bytes floor, prefill in TFLOP/s,
// the price of adapters, and how fast the model loads.
import { parseArgs } from "node:util";
import type { Route } from "../actors/executor/protocol.ts";
import type { PreparedStep } from "../actors/executor/executor.ts";
import { startExecutor } from "../actors/executor/start_executor.ts";
import { POLICY_DEFAULTS } from "../actors/policy_options.ts";
import { GREEDY } from "../actors/sampling.ts";
import { openDevice, type Provider } from "../kernels/device.ts";
import { adapterId, pageId, requestId, slotId, stepId } from "../memory/ids.ts";
import { type AdapterImage, pageGeometry } from "../models/adapter_image.ts";
import { LAYER_MODULES, type LayerModule } from "../models/model_config.ts";
import { clockLine } from "./support/clocks.ts";
import { copyRate } from "./support/copy_rate.ts";
import { type KernelTime, profileDispatches } from "./support/profile_dispatches.ts";
import { randomImage } from "./support/random_image.ts";
import { llama8b, writeRandomModel } from "./support/random_model.ts";
import { isSmall } from "./support/small.ts";
import { createTimer } from "./support/timer.ts";

const provider = (Deno.env.get("CHORUS_GPU") ?? "builtin") as Provider;
const probe = await openDevice(provider);
const timer = await createTimer(probe);
const rate = await copyRate(probe, timer);
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
const { config, layerPools, layerLayout, device } = parts;
const stepTimer = await createTimer(device);
console.log(`${device.description} through ${provider}: copy ${(rate / 1e12).toFixed(2)} TB/s`);
console.log(
  `load ${(bytes / 1e9).toFixed(2)} GB in ${((loadedAt - loadStart) / 1000).toFixed(2)} s, ` +
    `${(bytes / (loadedAt - loadStart) / 1e6).toFixed(2)} GB/s; ` +
    `host memory grew by ${((peakRss - idleRss) / 2 ** 20).toFixed(0)} MiB at most; ` +
    `pipelines and pools ${((performance.now() - loadedAt) / 1000).toFixed(2)} s`,
);

// Ordinary numbers in the pages, for zeros can run faster than text would.
const noise = device.gpu.createBuffer({
  size: 2 ** 24,
  usage: GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
});
const words = Uint32Array.from(
  { length: 2 ** 22 },
  () => (0x21002100 | (Math.random() * 2 ** 32 & 0x83ff83ff)) >>> 0,
);
device.gpu.queue.writeBuffer(noise, 0, words);
for (const { pool0, pool1 } of layerPools) {
  const encoder = device.gpu.createCommandEncoder();
  for (const slab of [pool0, pool1]) {
    for (let at = 0; at + 2 ** 24 <= slab.size; at += 2 ** 24) {
      encoder.copyBufferToBuffer(noise, 0, slab, at, 2 ** 24);
    }
  }
  device.gpu.queue.submit([encoder.finish()]);
}

const geometry = pageGeometry(config.kvHeads, config.headDim);
let nextPage = 0;
const takePages = (count: number) => Array.from({ length: count }, () => pageId(nextPage++));

async function place(image: AdapterImage, name: string): Promise<Route> {
  const layerPages = takePages(image.layers?.pages ?? 0);
  executor.apply({
    kind: "upload",
    adapter: adapterId(name),
    image,
    layerPages,
    headPages: [],
  });
  while (executor.uploading) await executor.uploadSome();
  return {
    adapter: adapterId(name),
    weight: 1,
    layerPage: layerPages[0] ?? null,
    headPage: null,
    moduleRanks: image.moduleRanks,
    headRanks: image.headRanks,
  };
}

const blocks = Math.ceil((CONTEXT + 64) / 16) * geometry.pagesPerBlock;
const tables = Array.from({ length: Math.max(...BATCHES) }, () => takePages(blocks));

function open(slot: number, routes: readonly Route[]): void {
  executor.apply({
    kind: "open",
    slot: slotId(slot),
    request: requestId(`r${slot}`),
    sampling: GREEDY,
    routes,
    prompt: [],
    generated: [],
  });
}

async function median(run: () => Promise<void>, runs: number): Promise<number> {
  await timer.time(() => {}, 1); // raises the clocks
  for (let i = 0; i < (small ? 1 : 3); i++) await run();
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    await run();
    times.push((performance.now() - start) / 1000);
  }
  return times.sort((a, b) => a - b)[runs >> 1] ?? NaN;
}

interface DecodeTime {
  /** From one step's results to the next one's. */
  readonly step: number;
  /** Of these the host's, which the GPU waits for only where it has nothing else to do. */
  readonly encode: number;
  readonly submit: number;
}

/** Seconds of a decode step of `batch` rows at CONTEXT tokens, among steps that follow each other. */
async function decode(
  batch: number,
  routeOf: (row: number) => readonly Route[],
): Promise<DecodeTime> {
  for (let slot = 0; slot < batch; slot++) open(slot, routeOf(slot));
  const host = { encode: 0, submit: 0, steps: 0 };
  let first = true;
  const prepare = () => {
    const start = performance.now();
    const rows = Array.from({ length: batch }, (_, slot) => ({
      slot: slotId(slot),
      tokens: first ? [1 + slot] : null,
      position: CONTEXT,
      newPages: first ? tables[slot] ?? [] : [],
      sample: true,
      promptTargets: null,
    }));
    first = false;
    const prepared = executor.prepare({ kind: "step", step: stepId(1), rows });
    host.encode += performance.now() - start;
    host.steps++;
    return prepared;
  };
  const submit = (step: PreparedStep) => {
    const start = performance.now();
    executor.submit(step);
    host.submit += performance.now() - start;
  };
  // As the executor's loop runs them: the next step is prepared while this one runs.
  let running = prepare();
  submit(running);
  const steps = small ? 2 : 8;
  const step = await median(async () => {
    for (let i = 0; i < steps; i++) {
      const next = prepare();
      if (executor.overlaps) submit(next);
      await executor.finish(running);
      if (!executor.overlaps) submit(next);
      running = next;
    }
  }, small ? 1 : 9) / steps;
  await executor.finish(running);
  const { encode, submit: submitted } = host;
  return { step, encode: encode / host.steps / 1e3, submit: submitted / host.steps / 1e3 };
}

/** GPU time of each kernel of a decode step. */
async function profile(batch: number): Promise<Map<string, KernelTime>> {
  await decode(batch, () => []);
  const { plan } = await finished(batch);
  const dispatches = [...parts.forward.dispatches(plan)];
  await timer.time(() => {}, 1);
  return await profileDispatches(device, dispatches);
}

const embedBytes = config.vocabSize * config.hiddenSize * 2;
const kvBytes = CONTEXT * config.layers * 2 * config.kvHeads * config.headDim * 2;
const base = new Map<number, number>();
/** GPU time of the last step that `decode` ran, steps back to back: what wall time exceeds it by is idle. */
async function gpuSeconds(batch: number): Promise<number> {
  const { plan } = await finished(batch);
  return await stepTimer.time((pass) => parts.forward.encode(pass, plan), small ? 1 : 3);
}

/** One more step of the `batch` rows that `decode` opened. */
async function finished(batch: number) {
  const rows = Array.from({ length: batch }, (_, slot) => ({
    slot: slotId(slot),
    tokens: null,
    position: CONTEXT,
    newPages: [],
    sample: true,
    promptTargets: null,
  }));
  const step = executor.prepare({ kind: "step", step: stepId(1), rows });
  executor.submit(step);
  await executor.finish(step);
  return step;
}

console.log(
  `\ndecode, ${
    dtype === "int8" ? "int8" : "f16"
  }     B       ms  x floor  GPU idle   encode   submit`,
);
for (const batch of BATCHES) {
  const { step: seconds, encode, submit } = await decode(batch, () => []);
  base.set(batch, seconds);
  const weights = (bytes - embedBytes) * (dtype === "int8" ? 0.5 : 1);
  const floor = (weights + batch * kvBytes) / rate;
  const idle = Math.max(0, 1 - await gpuSeconds(batch) / seconds);
  console.log(
    `base       ${String(batch).padStart(7)} ${(seconds * 1e3).toFixed(2).padStart(8)} ${
      (seconds / floor).toFixed(2).padStart(8)
    } ${`${(idle * 100).toFixed(1)} %`.padStart(9)} ${(encode * 1e3).toFixed(2).padStart(8)} ${
      (submit * 1e3).toFixed(2).padStart(8)
    }`,
  );
}

if (only) Deno.exit(0);

const ATTENTION = ["q", "k", "v", "o"] as const;
const loraBatch = small ? 4 : 32;
const plain = base.get(loraBatch) ?? NaN;
console.log(`\nadapters, B=${loraBatch}                     ms   x base`);
// Packed once, uploaded to as many places as there are to be distinct adapters.
const images = (ranks: readonly number[], modules: readonly LayerModule[]) =>
  ranks.map((rank) => randomImage(config, rank, modules));
const sets: [string, readonly AdapterImage[], number][] = [
  ["one r=16 on q,k,v,o", images([16], ATTENTION), 1],
  ["distinct r=16 on q,k,v,o", images([16], ATTENTION), loraBatch],
  ["distinct r=16 on all linears", images([16], LAYER_MODULES), loraBatch],
  ["distinct r=8-64 on q,k,v,o", images([8, 16, 32, 64], ATTENTION), loraBatch],
  ["distinct r=64 on q,k,v,o", images([64], ATTENTION), loraBatch],
];
for (const [name, made, distinct] of sets) {
  const mark = nextPage;
  const routes: Route[] = [];
  for (let i = 0; i < distinct; i++) {
    const image = made[i % made.length];
    if (image) routes.push(await place(image, `${name}${i}`));
  }
  const { step: seconds } = await decode(
    loraBatch,
    (row) => [routes[row % distinct]].filter((route) => route !== undefined),
  );
  console.log(
    `${name.padEnd(30)} ${(seconds * 1e3).toFixed(2).padStart(8)} ${
      (seconds / plain).toFixed(2).padStart(8)
    }`,
  );
  nextPage = mark;
}

console.log("\nprefill    tokens       ms  TFLOP/s");
for (const count of PREFILLS) {
  open(0, []);
  const pages = takePages(Math.ceil(count / 16) * geometry.pagesPerBlock);
  let first = true;
  const seconds = await median(async () => {
    const row = {
      slot: slotId(0),
      tokens: Array.from({ length: count }, (_, i) => i % config.vocabSize),
      position: 0,
      newPages: first ? pages : [],
      sample: true,
      promptTargets: null,
    };
    first = false;
    await executor.step({ kind: "step", step: stepId(1), rows: [row] });
  }, small ? 1 : 3);
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
  for (const [name, { count, seconds }] of await profile(batch)) {
    console.log(
      `${name.padEnd(40)} ${String(count).padStart(5)} ${(seconds * 1e3).toFixed(3).padStart(8)}`,
    );
  }
}
console.log(`\n${await clockLine()}`);
console.log(`pages used ${nextPage} of ${layerLayout.pages}`);
Deno.exit(0);
