// Runs the whole suite, or the files that are named, and closes with one plain line, "N passed, N failed".
import { TextLineStream } from "@std/streams";
import { testFiles, testJobs } from "./test_jobs.ts";

/** What `deno test` said, and how it ended. */
interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly code: number;
}

const UNBOUNDED = { highWaterMark: Infinity };
const TEST = [
  ...["test", "-A", "--unstable-webgpu", "--v8-flags=--expose-gc"],
  "--preload=tests/support/seed.ts",
];

/** Starts Deno; what it says can be read later, and holds nothing up meanwhile. */
function start(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    env: { XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp", NO_COLOR: "1", ...env },
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  const kept = new TransformStream<string, string>({}, UNBOUNDED, UNBOUNDED);
  return { lines: lines.pipeThrough(kept), status: child.status };
}

async function show({ lines, status }: ReturnType<typeof start>): Promise<Outcome> {
  let summary: RegExpExecArray | null = null;
  for await (const line of lines) {
    console.log(line);
    summary = /\| (\d+) passed.*\| (\d+) failed/.exec(line) ?? summary;
  }
  const { code } = await status;
  const passed = Number(summary?.[1] ?? 0);
  // An end without a summary is a failure too, whatever it says of itself.
  const failed = Math.max(Number(summary?.[2] ?? 0), code === 0 && summary ? 0 : 1);
  return { passed, failed, code: code || (summary ? 0 : 1) };
}

/** Runs `jobs` in their order, `beside` at a time, and shows each when those before it have ended. */
async function run(
  jobs: readonly (readonly string[])[],
  beside: number,
): Promise<Outcome[]> {
  // Mesa's software driver takes a thread for each processor, in each process, which then wait for each other.
  const env = beside > 1 && beside >= navigator.hardwareConcurrency
    ? { LP_NUM_THREADS: "0" }
    : undefined;
  const started = jobs.map(() => Promise.withResolvers<ReturnType<typeof start>>());
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < jobs.length; i = next++) {
      const job = start([...TEST, ...jobs[i] ?? []], env);
      started[i]?.resolve(job);
      await job.status;
    }
  };
  const workers = Array.from({ length: beside }, worker);
  const outcomes: Outcome[] = [];
  for (const { promise } of started) outcomes.push(await show(await promise));
  await Promise.all(workers);
  return outcomes;
}

/** The types of everything at once: that takes less than each process checking what it runs. */
async function typesHold(): Promise<boolean> {
  const { success } = await new Deno.Command(Deno.execPath(), { args: ["check", "--quiet", "."] })
    .spawn()
    .status;
  return success;
}

async function runAll(): Promise<Outcome[]> {
  if (Deno.args.length > 0) return await run([Deno.args], 1);
  if (!await typesHold()) return [{ passed: 0, failed: 1, code: 1 }];
  const { jobs, beside } = testJobs(testFiles("tests"), navigator.hardwareConcurrency);
  return await run(jobs.map((files) => ["--no-check", ...files]), beside);
}

const outcomes = await runAll();
const sum = (of: (outcome: Outcome) => number) =>
  outcomes.reduce((total, outcome) => total + of(outcome), 0);
console.log(`${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed`);
const none = sum(({ passed }) => passed) === 0;
Deno.exit(outcomes.find(({ code }) => code !== 0)?.code ?? Number(none));
