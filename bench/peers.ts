// The same shapes and the same trace through ours and through transformers, PEFT and PyTorch, in turn on one machine.
import { Command, Option } from "commander";
import { serve } from "./serve.ts";
import { cardState, clockLine } from "./support/clocks.ts";
import { positive } from "./support/flags.ts";
import type { DecodeStep } from "./step.ts";
import { ourSteps } from "./support/our_steps.ts";
import { hasPeft, runPeer } from "./support/python_peer.ts";
import { syntheticTrace } from "./support/trace.ts";

const PARTS = ["decode", "mixed", "trace"] as const;

interface Flags {
  readonly python: string;
  readonly shape?: "8b" | "tiny";
  readonly only: string;
  readonly seconds?: number;
  readonly adapters?: number;
  readonly rate?: number;
  readonly peftBatch: number;
  readonly allAtOnce?: boolean;
}

interface PeftTrace {
  readonly requestsPerSecond: number;
  readonly seconds: number;
  readonly completed: number;
  readonly left: number;
  readonly meanBatch: number;
}

interface MixedStep {
  readonly batch: number;
  readonly baseMs: number;
  readonly oneMs: number;
  readonly mixedMs: number;
}

const flagsOf = (args: readonly string[]): Flags =>
  new Command("deno task bench peers")
    .description("Ours and theirs in turn, and the ratios")
    .option(
      "--python <path>",
      "with torch, transformers, peft",
      Deno.env.get("CHORUS_PYTHON") ?? "python3",
    )
    .addOption(new Option("--shape <shape>").choices(["8b", "tiny"]))
    .option("--only <parts>", "decode,mixed,trace", PARTS.join())
    .option(
      "--seconds <seconds>",
      "for PEFT's trace (default: 240); the rest is extrapolated",
      positive,
    )
    .option("--adapters <count>", "of the trace (default: 100)", positive)
    .option("--rate <rate>", "requests a second of the trace (default: 10)", positive)
    .option("--peft-batch <count>", "PEFT's largest batch", positive, 50)
    .option("--all-at-once", "PEFT's requests have all arrived: its largest batches")
    .parse([...args], { from: "user" }).opts<Flags>();

/** `deno task bench peers`. */
export async function peers(args: readonly string[]): Promise<void> {
  const flags = flagsOf(args);
  const shape = flags.shape ?? (await cardState() ? "8b" : "tiny");
  const parts = flags.only.split(",");
  const there = await hasPeft(flags.python);
  if (!there) console.log(`${flags.python} has no torch, transformers and peft: ours only`);
  if (parts.includes("decode") || parts.includes("mixed")) {
    const ours = await ourSteps();
    if (parts.includes("decode")) await decode(flags, shape, ours, there);
    if (parts.includes("mixed")) await mixed(flags, shape, ours, there);
  }
  if (parts.includes("trace")) await trace(flags, shape, there);
}

async function decode(flags: Flags, shape: string, ours: readonly DecodeStep[], there: boolean) {
  const base = ours.filter(({ name }) => name === "base");
  const batches = base.map(({ batch }) => batch).join();
  const theirs = there
    ? await runPeer<{ steps: { batch: number; ms: number }[] }>(flags.python, "torch_decode.py", [
      ...["--shape", shape, "--batches", batches],
    ])
    : null;
  console.log("\ndecode, base     B  ours ms  PyTorch's products alone ms  ratio");
  for (const { batch, ms } of base) {
    const other = theirs?.steps.find((step) => step.batch === batch)?.ms;
    console.log(
      `${String(batch).padStart(18)} ${ms.toFixed(2).padStart(8)} ${put(other, 28)} ` +
        put(other && ms / other, 6),
    );
  }
  console.log(await clockLine());
}

async function mixed(flags: Flags, shape: string, ours: readonly DecodeStep[], there: boolean) {
  const own = (name: string) => ours.find((step) => step.name === name);
  const [one, distinct] = [own("one r=16 on q,k,v,o"), own("distinct r=16 on q,k,v,o")];
  const batch = distinct?.batch ?? 1;
  const small = shape === "tiny" ? ["--context", "64", "--tokens", "4", "--runs", "1"] : [];
  const theirs = there
    ? await runPeer<{ steps: MixedStep[] }>(flags.python, "peft_mixed.py", [
      ...["--shape", shape, "--batches", `${batch}`, ...small],
    ])
    : null;
  const step = theirs?.steps[0];
  console.log(`\nadapters, B=${batch}                  ours ms  PEFT ms  PEFT / ours`);
  const rows: [string, number | undefined, number | undefined][] = [
    ["base", ours.find((s) => s.name === "base" && s.batch === batch)?.ms, step?.baseMs],
    ["one r=16 on q,k,v,o", one?.ms, step?.oneMs],
    ["distinct r=16 on q,k,v,o", distinct?.ms, step?.mixedMs],
  ];
  for (const [name, ms, other] of rows) {
    console.log(
      `${name.padEnd(28)} ${put(ms, 9)} ${put(other, 8)} ${put(other && ms && other / ms, 12)}`,
    );
  }
  console.log(await clockLine());
}

async function trace(flags: Flags, shape: string, there: boolean) {
  const tiny = shape === "tiny";
  const adapters = flags.adapters ?? (tiny ? 2 : 100);
  const rate = flags.rate ?? (tiny ? 4 : 10);
  const seconds = flags.seconds ?? (tiny ? 4 : 240);
  const length = Math.min(seconds, tiny ? 2 : 60);
  console.log(`\nS-LoRA's trace, ours: ${rate} requests/s for ${length} s, ${adapters} adapters`);
  const [row] = await serve([
    ...["--shape", shape, "--adapters-counts", `${adapters}`, "--rate", `${rate}`],
    ...["--seconds", `${length}`],
  ]);
  if (!there || !row) return;
  const lengths = tiny ? [2, 8] as const : [8, 512] as const;
  const file = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const requests = syntheticTrace({
      rate,
      seconds: tiny ? 2 : 300,
      cv: 1,
      adapters,
      popularity: { kind: "power", alpha: 1 },
      promptTokens: lengths,
      outputTokens: lengths,
      seed: 42,
    });
    await Deno.writeTextFile(file, JSON.stringify(requests));
    const peft = await runPeer<PeftTrace>(flags.python, "peft_trace.py", [
      ...["--shape", shape, "--trace", file, "--adapters", `${adapters}`],
      ...["--seconds", `${seconds}`, "--batch", `${flags.peftBatch}`],
      ...(flags.allAtOnce ? ["--all-at-once"] : []),
    ]);
    const whole = peft.left === 0
      ? "the whole trace"
      : `extrapolated: ${peft.left} requests were left`;
    console.log(
      `\nPEFT grouped by adapter: ${peft.requestsPerSecond.toFixed(3)} requests/s over ` +
        `${peft.seconds.toFixed(0)} s (${whole}), batches of ${peft.meanBatch.toFixed(1)}`,
    );
    console.log(
      `ours ${row.requestsPerSecond.toFixed(2)} requests/s: ` +
        `${
          (row.requestsPerSecond / peft.requestsPerSecond).toFixed(1)
        } x PEFT; ${await clockLine()}`,
    );
  } finally {
    await Deno.remove(file);
  }
}

const put = (value: number | undefined, width: number) =>
  (value === undefined ? "-" : value.toFixed(2)).padStart(width);
