import type { Epoch } from "../../memory/ids.ts";
import type { EngineCommand } from "../engine_protocol.ts";
import { openSocket, type SocketLink } from "../socket_channel.ts";
import type { EngineEvent } from "./protocol.ts";
import { socketIn } from "./socket_directory.ts";

export interface EngineProcessOptions {
  /** The program, this Deno unless said otherwise. */
  readonly command?: string;
  /** Its arguments, which must tell it where to connect and who it is. */
  args(socket: string, epoch: Epoch): readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Messages that may wait in either direction. */
  readonly capacity: number;
  /** How long it may take until it connects. */
  readonly connectMs: number;
  /** Gives up waiting for it to connect. */
  readonly signal?: AbortSignal;
}

/** One incarnation of the engine: a child process and the connection that it opened to us. */
export interface EngineProcess {
  readonly epoch: Epoch;
  readonly link: SocketLink<EngineCommand, EngineEvent>;
  /** Resolves, in words, when the process has ended. */
  readonly ended: Promise<string>;
  /** SIGKILL; the first reason given is the one that `ended` tells. */
  kill(reason: string): void;
  /** Hangs up and asks it to end; kills it after the deadline. Resolves when it has ended. */
  stop(deadlineMs: number): Promise<void>;
}

/**
 * Starts an engine that listens to nobody else: its socket is in `directory`, which only this user may enter, and
 * takes one connection. Rejects when the process ends or `connectMs` pass before it connects; it is dead then.
 */
export async function startEngineProcess(
  directory: string,
  epoch: Epoch,
  options: EngineProcessOptions,
): Promise<EngineProcess> {
  const socket = socketIn(directory, epoch);
  const listener = Deno.listen({ transport: "unix", path: socket });
  let killedFor: string | null = null;
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(options.command ?? Deno.execPath(), {
      args: [...options.args(socket, epoch)],
      ...(options.env ? { env: { ...options.env } } : {}),
      stdin: "null",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    listener.close();
    throw error;
  }
  const signal = (name: Deno.Signal) => {
    try {
      child.kill(name);
    } catch {
      // It has ended by itself.
    }
  };
  const kill = (reason: string) => {
    killedFor ??= reason;
    signal("SIGKILL");
  };
  const ended = child.status.then(({ code, signal }) =>
    killedFor ?? (signal ? `it was ended by ${signal}` : `it exited with code ${code}`)
  );

  const timer = setTimeout(
    () => kill(`it did not connect within ${options.connectMs} ms`),
    options.connectMs,
  );
  const giveUp = () => kill("it is no longer wanted");
  options.signal?.addEventListener("abort", giveUp);
  const accepted = listener.accept();
  try {
    const conn = await Promise.race([accepted, ended]);
    if (typeof conn === "string") throw new Error(`Cannot start the engine: ${conn}`);
    const link = openSocket<EngineCommand, EngineEvent>(conn, options);
    const stop = async (deadlineMs: number) => {
      const timer = setTimeout(() => kill(`it did not stop within ${deadlineMs} ms`), deadlineMs);
      link.close();
      signal("SIGTERM");
      await ended;
      clearTimeout(timer);
    };
    return { epoch, link, ended, kill, stop };
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", giveUp);
    accepted.catch(() => {}); // nobody will come any more
    listener.close();
  }
}
