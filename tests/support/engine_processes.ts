/** Process ids of the engines that process `parent` started. */
export async function engineProcesses(parent: number): Promise<number[]> {
  const { stdout } = await new Deno.Command("ps", { args: ["-o", "pid=", "--ppid", `${parent}`] })
    .output();
  return new TextDecoder().decode(stdout).split("\n").map(Number).filter((pid) => pid > 0);
}
