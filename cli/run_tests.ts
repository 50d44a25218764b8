// Runs the whole suite and closes with one plain line, "N passed, N failed".
import { TextLineStream } from "@std/streams";

/** What `deno test` said in the end, and how it ended. */
interface Outcome {
  readonly passed: number;
  readonly failed: number;
  readonly code: number;
}

const UNBOUNDED = { highWaterMark: Infinity };

/** Starts `deno test`; what it says can be read later, and holds nothing up meanwhile. */
function start(args: readonly string[]) {
  const child = new Deno.Command(Deno.execPath(), {
    args: [
      "test",
      "-A",
      "--unstable-webgpu",
      "--v8-flags=--expose-gc",
      "--preload=tests/support/seed.ts",
      ...args,
    ],
    env: { XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp", NO_COLOR: "1" },
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
  // A crash before the summary, or a failed type check, is a failure too.
  const failed = Math.max(Number(summary?.[2] ?? 0), code === 0 ? 0 : 1);
  return { passed, failed, code: code || (passed === 0 ? 1 : 0) };
}

// Half of the suite runs beside the other: tests of whole servers, which wait for them as often as they work, but for
// some, without which the others end sooner.
const SERVERS = "tests/end_to_end";
const WITH_THE_OTHERS = ["prefix_cache_test.ts", "recovery_test.ts"];
const apart = [...Deno.readDirSync(SERVERS)].map(({ name }) => name)
  .filter((name) => !WITH_THE_OTHERS.includes(name)).map((name) => `${SERVERS}/${name}`);
const parts = Deno.args.length > 0 ? [Deno.args] : [apart, [`--ignore=${apart.join()}`]];
const running = parts.map(start);
const outcomes: Outcome[] = [];
for (const part of running) outcomes.push(await show(part));
const sum = (of: (outcome: Outcome) => number) =>
  outcomes.reduce((total, outcome) => total + of(outcome), 0);
console.log(`${sum(({ passed }) => passed)} passed, ${sum(({ failed }) => failed)} failed`);
Deno.exit(outcomes.find(({ code }) => code !== 0)?.code ?? 0);
