/** A line of `deno task bench step`. */
export interface DecodeStep {
  /** "base", or which adapters. */
  readonly name: string;
  readonly batch: number;
  readonly ms: number;
}

/** Runs `deno task bench step` in a process of its own, shows what it prints and reads its decode tables. */
export async function ourSteps(): Promise<DecodeStep[]> {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "bench/main.ts", "step"],
    cwd: new URL("../../", import.meta.url),
  }).output();
  const text = new TextDecoder().decode(stdout);
  console.log(text);
  if (!success) {
    throw new Error(`Cannot run the step bench: it ended:\n${new TextDecoder().decode(stderr)}`);
  }
  return readSteps(text);
}

/** The decode tables of what the step bench printed. */
export function readSteps(text: string): DecodeStep[] {
  const steps: DecodeStep[] = [];
  let batch = NaN;
  for (const line of text.split("\n")) {
    batch = Number(/^adapters, B=(\d+)/.exec(line)?.[1] ?? batch);
    const base = /^base +(\d+) +([\d.]+)/.exec(line);
    const adapters = /^((?:one|distinct|mixed).*?) {2,}([\d.]+)/.exec(line);
    if (base) steps.push({ name: "base", batch: Number(base[1]), ms: Number(base[2]) });
    if (adapters) steps.push({ name: adapters[1] ?? "", batch, ms: Number(adapters[2]) });
  }
  return steps;
}
