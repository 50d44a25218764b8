import { TextLineStream } from "@std/streams";
import { frontPermissions } from "../../cli/permissions.ts";

const root = new URL("../..", import.meta.url);
const READY_MS = 300_000;

/** The real program as a child process. */
export interface TestServer extends AsyncDisposable {
  readonly url: string;
  readonly child: Deno.ChildProcess;
  /** Everything it has written to standard error so far. */
  readonly lines: readonly string[];
  /** SIGTERM, and its exit code. */
  stop(): Promise<number>;
}

export interface ServerOptions {
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Resolve as soon as it listens instead of when it takes requests. */
  readonly untilListening?: boolean;
}

/** The program's command line, with the permissions that the serve task gives it. */
const commandLine = ({ args = [], env = {} }: ServerOptions) => [
  "run",
  ...frontPermissions(Deno.execPath(), { ...Deno.env.toObject(), ...env }),
  "main.ts",
  "--port",
  "0",
  ...args,
];

const environment = (more: Readonly<Record<string, string>> = {}) => ({
  XDG_RUNTIME_DIR: "/tmp",
  // Several servers share a GPU, whose own default is gigabytes.
  CHORUS_POOL_BYTES: "256MiB",
  CHORUS_GPU: Deno.env.get("CHORUS_GPU") ?? "builtin",
  ...more,
});

/** Runs main.ts to its end, which is soon: SIGKILL, and code 137, after `deadlineMs`. */
export async function runMain(
  options: Pick<ServerOptions, "args" | "env"> & { readonly deadlineMs?: number },
): Promise<{ readonly code: number; readonly stdout: string; readonly stderr: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: commandLine(options),
    cwd: root,
    env: environment(options.env),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const timer = setTimeout(() => child.kill("SIGKILL"), options.deadlineMs ?? 120_000);
  const { code, stdout, stderr } = await child.output();
  clearTimeout(timer);
  const text = (bytes: Uint8Array) => withoutDownloads(new TextDecoder().decode(bytes));
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/** Without what Deno itself says where its cache of package versions is empty. */
const withoutDownloads = (text: string) =>
  text.split("\n").filter((line) => !line.includes("Download")).join("\n");

/**
 * Starts main.ts on a free port.
 * @throws {Error} with what it wrote, when it ends before it is ready.
 */
export async function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const child = new Deno.Command(Deno.execPath(), {
    args: commandLine(options),
    cwd: root,
    env: environment(options.env),
    stdin: "null",
    stdout: "inherit",
    stderr: "piped",
  }).spawn();
  const lines: string[] = [];
  const listening = Promise.withResolvers<string>();
  const read = (async () => {
    const text = child.stderr.pipeThrough(new TextDecoderStream()).pipeThrough(
      new TextLineStream(),
    );
    for await (const line of text) {
      lines.push(line);
      const [, url] = /Listening on (http:\S+)/.exec(line) ?? [];
      if (url) listening.resolve(url);
    }
    listening.reject(new Error(`Cannot start the server: it ended:\n${lines.join("\n")}`));
  })();
  const url = await listening.promise;
  if (!options.untilListening) await ready(url, child, lines);
  let stopped: Promise<number> | null = null;
  const stop = () =>
    stopped ??= (async () => {
      try {
        child.kill("SIGTERM");
      } catch {
        // It has ended by itself.
      }
      const { code } = await child.status;
      await read;
      return code;
    })();
  return { url, child, lines, stop, [Symbol.asyncDispose]: async () => void await stop() };
}

async function ready(
  url: string,
  child: Deno.ChildProcess,
  lines: readonly string[],
): Promise<void> {
  let ended = false;
  child.status.then(() => ended = true);
  for (const deadline = Date.now() + READY_MS; Date.now() < deadline && !ended;) {
    try {
      const response = await fetch(`${url}/health`);
      await response.body?.cancel();
      if (response.ok) return;
    } catch {
      // Between listening and dying.
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  if (!ended) child.kill("SIGKILL");
  throw new Error(`Cannot start the server: it is not ready:\n${lines.join("\n")}`);
}
