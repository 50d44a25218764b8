import type { Sender } from "../channel.ts";
import type { Command } from "./protocol.ts";

/** Longer than any step takes; a GPU that hangs never answers at all. */
const SILENCE_MS = 120_000;
/** Mesa's software driver compiles a kernel when it first runs: on a busy machine for minutes. */
const SOFTWARE_SILENCE_MS = 600_000;

/** Notices an executor that has a step and answers none: its own thread cannot tell. */
export class Watchdog {
  readonly sender: Sender<Command>;
  readonly #now: () => number;
  readonly #most: number;
  #outstanding = 0;
  #since = 0;

  /** Steps are to be sent through `sender`, which passes everything on to `executor`; `software`: it has no GPU. */
  constructor(
    executor: Sender<Command>,
    software: boolean,
    now: () => number = () => performance.now(),
  ) {
    this.#now = now;
    this.#most = software ? SOFTWARE_SILENCE_MS : SILENCE_MS;
    const see = (command: Command) => {
      if (command.kind === "step" && this.#outstanding++ === 0) this.#since = now();
    };
    this.sender = {
      send: (command) => {
        see(command);
        return executor.send(command);
      },
      trySend: (command) => {
        const sent = executor.trySend(command);
        if (sent) see(command);
        return sent;
      },
      close: (reason) => executor.close(reason),
    };
  }

  /** A step came back. */
  answered(): void {
    this.#outstanding--;
    this.#since = this.#now();
  }

  /** Milliseconds without an answer, where that is too long. */
  get overdue(): number | null {
    const silence = this.#now() - this.#since;
    return this.#outstanding > 0 && silence > this.#most ? silence : null;
  }
}
