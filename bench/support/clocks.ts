/** What nvidia-smi says of the first card at this moment. */
export interface CardState {
  readonly smMHz: number;
  readonly memoryMiB: number;
}

/** null where there is no nvidia-smi. A card that idled shows clocks far below those it had under load. */
export async function cardState(): Promise<CardState | null> {
  try {
    const { success, stdout } = await new Deno.Command("nvidia-smi", {
      args: ["--query-gpu=clocks.sm,memory.used", "--format=csv,noheader,nounits"],
      stderr: "null",
    }).output();
    const [smMHz, memoryMiB] = new TextDecoder().decode(stdout).split("\n")[0]?.split(",")
      .map(Number) ?? [];
    if (!success || !smMHz || !memoryMiB) return null;
    return { smMHz, memoryMiB };
  } catch {
    return null; // no such program
  }
}

/** The same as a line to print beside numbers. */
export async function clockLine(): Promise<string> {
  const state = await cardState();
  return state ? `sm clock ${state.smMHz} MHz, ${state.memoryMiB} MiB in use` : "no nvidia-smi";
}
