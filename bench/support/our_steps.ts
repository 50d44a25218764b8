import type { DecodeStep } from "../step.ts";

/** Runs `deno task bench step` in a process of its own, whose GPU memory is free again when it ends, and shows its tables. */
export async function ourSteps(): Promise<DecodeStep[]> {
  const out = await Deno.makeTempFile({ suffix: ".json" });
  try {
    const { success } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "--v8-flags=--expose-gc", "bench/main.ts", "step", "--out", out],
      cwd: new URL("../../", import.meta.url),
      stdout: "inherit",
      stderr: "inherit",
    }).output();
    if (!success) throw new Error("Cannot compare: the step bench failed, which says why above");
    return JSON.parse(await Deno.readTextFile(out));
  } finally {
    await Deno.remove(out);
  }
}
