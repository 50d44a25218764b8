import { TextLineStream } from "@std/streams";

/** A server that the bench started itself. */
export interface ChildServer extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** What it has written to standard error so far. */
  readonly lines: readonly string[];
}

const root = new URL("../../", import.meta.url);
const POLL_MS = 50;

/**
 * Runs this Deno with `args` in the project's directory and waits, however long its model takes to load, until what
 * listens there takes requests; disposing of it sends SIGTERM and waits for its end.
 * @throws {Error} with what it wrote, when it ends before that.
 */
export async function startChild(args: readonly string[]): Promise<ChildServer> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: root,
    env: { XDG_RUNTIME_DIR: Deno.env.get("XDG_RUNTIME_DIR") ?? "/tmp" },
    stdin: "null",
    stdout: "inherit",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const listening = Promise.withResolvers<string>();
  let ended = false;
  const reading = (async () => {
    const text = child.stderr.pipeThrough(new TextDecoderStream());
    for await (const line of text.pipeThrough(new TextLineStream())) {
      lines.push(line);
      const [, url] = /Listening on (http:\S+)/.exec(line) ?? [];
      if (url) listening.resolve(url);
    }
    ended = true;
    listening.reject(new Error(`Cannot start the server: it ended:\n${lines.join("\n")}`));
  })();
  const url = await listening.promise;
  while (!await healthy(url)) {
    if (ended) throw new Error(`Cannot start the server: it ended:\n${lines.join("\n")}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return {
    url,
    pid: child.pid,
    lines,
    async [Symbol.asyncDispose]() {
      if (!ended) child.kill("SIGTERM");
      await child.status;
      await reading;
    },
  };
}

async function healthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false; // between listening and its end
  }
}
