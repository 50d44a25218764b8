import { fileURLToPath } from "node:url";

const SCRIPTS = fileURLToPath(new URL("../peers/", import.meta.url));

/** Whether this Python can run the peers at all. */
export async function hasPeft(python: string): Promise<boolean> {
  try {
    const { success } = await new Deno.Command(python, {
      args: ["-c", "import torch, transformers, peft"],
      stdout: "null",
      stderr: "null",
    }).output();
    return success;
  } catch {
    return false; // no such program
  }
}

/** Runs a script of bench/peers/ and returns its result. @throws {Error} with what it wrote, where it has none. */
export async function runPeer<T>(
  python: string,
  script: string,
  args: readonly string[],
): Promise<T> {
  const { stdout, stderr } = await new Deno.Command(python, {
    args: [`${SCRIPTS}${script}`, ...args],
    env: { TOKENIZERS_PARALLELISM: "false", HF_HUB_OFFLINE: "1", PYTHONDONTWRITEBYTECODE: "1" },
  }).output();
  const found = /^RESULT (.*)$/m.exec(new TextDecoder().decode(stdout));
  if (found?.[1] !== undefined) return JSON.parse(found[1]) as T;
  throw new Error(
    `Cannot run ${script}: it ended:\n${new TextDecoder().decode(stderr).slice(-2000)}`,
  );
}
