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
    // an idle card has no memory in use
    if (!success || !smMHz || memoryMiB === undefined) return null;
    return { smMHz, memoryMiB };
  } catch {
    return null; // no such program
  }
}

/** The same as a line to print beside numbers. */
export async function clockLine(): Promise<string> {
  return describe(await cardState());
}

const PERIOD_MS = 2000;

/** Looks again and again until told to stop; then the highest clock and the most memory that it saw, as a line. */
export function watchCard(): () => Promise<string> {
  const seen: CardState[] = [];
  let over = false;
  const stop = Promise.withResolvers<void>();
  const watching = (async () => {
    while (!over) {
      const state = await cardState();
      if (!state) return;
      seen.push(state);
      const timer = Promise.withResolvers<void>();
      const handle = setTimeout(timer.resolve, PERIOD_MS);
      await Promise.race([timer.promise, stop.promise]);
      clearTimeout(handle);
    }
  })();
  return async () => {
    over = true;
    stop.resolve();
    await watching;
    if (seen.length === 0) return describe(null);
    return describe({
      smMHz: Math.max(...seen.map(({ smMHz }) => smMHz)),
      memoryMiB: Math.max(...seen.map(({ memoryMiB }) => memoryMiB)),
    });
  };
}

const describe = (state: CardState | null) =>
  state ? `sm clock ${state.smMHz} MHz, ${state.memoryMiB} MiB in use` : "no nvidia-smi";
