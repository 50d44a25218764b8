// `deno task bench NAME [flags]`: each bench makes what it needs and prints ratios from one run.
interface Bench {
  readonly about: string;
  run(args: string[]): Promise<unknown>;
}

const BENCHES: Readonly<Record<string, Bench>> = {
  kernels: {
    about: "every hot kernel at Llama-3-8B shapes, over a copy and arithmetic in registers",
    run: async (args) => (await import("./kernels.ts")).kernels(args),
  },
  tilings: {
    about: "tilings of the projections for another card's matrix units, beside those in use",
    run: async (args) => (await import("./tilings.ts")).tilings(args),
  },
  step: {
    about: "whole steps of a random Llama-3-8B: decode over its floor, adapters, prefill, load",
    run: async (args) => (await import("./step.ts")).step(args),
  },
  serve: {
    about: "S-LoRA's trace, or a closed loop, over HTTP against a served engine",
    run: async (args) => (await import("./serve.ts")).serve(args),
  },
  cold: {
    about: "first tokens of adapters that are not on the GPU, while streams run, over HTTP",
    run: async (args) => (await import("./cold.ts")).cold(args),
  },
  prefix: {
    about: "what the prefix cache saves: a long context asked about again and again, over HTTP",
    run: async (args) => (await import("./prefix.ts")).prefix(args),
  },
  simulate: {
    about: "S-LoRA's tables from the real scheduler on measured step times, beside the paper's",
    run: async (args) => (await import("./simulate.ts")).simulateTables(args),
  },
  http: {
    about: "HTTP and the actors, with an executor that answers at once",
    run: async (args) => (await import("./http.ts")).http(args),
  },
  peers: {
    about: "the same work through transformers, PEFT and PyTorch on the same card",
    run: async (args) => (await import("./peers.ts")).peers(args),
  },
};

const [name = "--help", ...args] = Deno.args;
const bench = BENCHES[name];
if (bench) {
  await bench.run(args);
  Deno.exit(); // a GPU that is still open keeps the process
} else {
  console.log(
    "deno task bench <name> [flags]; each lists its own with --help\n",
  );
  for (const [name, { about }] of Object.entries(BENCHES)) console.log(`${name.padEnd(9)}${about}`);
  if (name !== "--help") Deno.exitCode = 2;
}
