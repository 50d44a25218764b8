// Runs the whole suite and closes with one plain line, "N passed, N failed".
import { TextLineStream } from "@std/streams";

const child = new Deno.Command(Deno.execPath(), {
  args: [
    "test",
    "-A",
    "--unstable-webgpu",
    "--v8-flags=--expose-gc",
    "--preload=tests/support/seed.ts",
    ...Deno.args,
  ],
  env: { XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp", NO_COLOR: "1" },
  stdout: "piped",
}).spawn();

let summary: RegExpExecArray | null = null;
const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
for await (const line of lines) {
  console.log(line);
  summary = /\| (\d+) passed.*\| (\d+) failed/.exec(line) ?? summary;
}
const { code } = await child.status;
const passed = Number(summary?.[1] ?? 0);
// A crash before the summary, or a failed type check, is a failure too.
const failed = Math.max(Number(summary?.[2] ?? 0), code === 0 ? 0 : 1);
console.log(`${passed} passed, ${failed} failed`);
Deno.exit(code || (passed === 0 ? 1 : 0));
