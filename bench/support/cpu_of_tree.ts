/** Seconds a process used, and those of its children that live. */
export interface TreeCpu {
  readonly own: number;
  readonly children: number;
}

const TICKS = 100; // USER_HZ, which Linux promises to programs

/** User and system time by /proc; null where there is none (it is Linux's). */
export async function cpuOfTree(pid: number): Promise<TreeCpu | null> {
  const own = await stat(pid);
  if (!own) return null;
  let children = 0;
  for await (const { name } of Deno.readDir("/proc")) {
    const of = /^\d+$/.test(name) ? await stat(Number(name)) : null;
    if (of?.parent === pid) children += of.seconds;
  }
  return { own: own.seconds, children };
}

async function stat(pid: number): Promise<{ parent: number; seconds: number } | null> {
  try {
    // "pid (name) state ppid ...": the name may hold anything, so fields count from its end.
    const text = await Deno.readTextFile(`/proc/${pid}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
    const [parent = 0, user = 0, system = 0] = [fields[1], fields[11], fields[12]];
    return { parent, seconds: (user + system) / TICKS };
  } catch {
    return null;
  }
}
