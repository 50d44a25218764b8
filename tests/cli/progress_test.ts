import { assertEquals, assertMatch } from "@std/assert";
import fc from "fast-check";
import { createProgress } from "../../cli/progress.ts";

function lines(steps: readonly number[], total: number, unit: string): string[] {
  const printed: string[] = [];
  const progress = createProgress(false, (line) => printed.push(line));
  for (const done of steps) progress.update("weights", done, total, unit);
  progress.stop();
  return printed;
}

Deno.test("progress off a terminal is at most a line a tenth, and the last one says all", () => {
  const steps = fc.uniqueArray(fc.integer({ min: 0, max: 999 }), { maxLength: 200 });
  fc.assert(fc.property(steps, (some) => {
    const printed = lines([...some.sort((a, b) => a - b), 1000], 1000, "pipelines");
    assertEquals(printed.length <= 10, true, printed.join("\n"));
    assertEquals(printed.at(-1), "weights: 1000 of 1000 pipelines");
  }));
});

Deno.test("progress tells how fast bytes come, measured from the stage's first report", async () => {
  const printed: string[] = [];
  const progress = createProgress(false, (line) => printed.push(line));
  const before = performance.now();
  progress.update("weights", 0, 2e9, "bytes");
  const begun = performance.now();
  await new Promise((resolve) => setTimeout(resolve, 50));
  const ends = performance.now();
  progress.update("weights", 2e9, 2e9, "bytes");
  const after = performance.now();
  assertEquals(printed.length, 1);
  assertMatch(printed[0] ?? "", /^weights: 2000000000 of 2000000000 bytes \d+\.\d\d GB\/s$/);
  const rate = Number(/(\S+) GB/.exec(printed[0] ?? "")?.[1]);
  const [least, most] = [2000 / (after - before), 2000 / (ends - begun)];
  assertEquals(rate >= least - 0.01 && rate <= most + 0.01, true, `${rate} GB/s`);
});

Deno.test("progress shows a stage again when it begins again", () => {
  const printed: string[] = [];
  const progress = createProgress(false, (line) => printed.push(line));
  for (const label of ["weights", "kernels", "weights"]) progress.update(label, 1, 1, "files");
  assertEquals(printed.length, 3);
});

Deno.test("progress of nothing is done at once", () => {
  assertEquals(lines([0], 0, "bytes").length, 1);
});
