import type { Actor, Exit } from "./actor.ts";
import { Channel } from "./channel.ts";
import { Children, type ChildSpec, type Ended, loggerOf } from "./children.ts";
import { RestartTolerance } from "./restart_tolerance.ts";

export interface SupervisorOptions {
  readonly name: string;
  /** rest_for_one restarts, with a child, all that were started after it. */
  readonly strategy: "one_for_one" | "rest_for_one";
  /** 2 restarts in 5 s unless said otherwise; one more ends the supervisor as crashed. */
  readonly tolerance?: { readonly restarts: number; readonly periodMs: number };
}

/** Runs the children of a table; an Actor itself, so that one supervisor can be another's child. */
export function supervise(table: readonly ChildSpec[], options: SupervisorOptions): Actor {
  const supervisor = new Supervisor(table, options);
  const ready = supervisor.start();
  const stopped = ready.then(() => supervisor.watch(), (error) => supervisor.giveUp(error));
  return { name: options.name, ready, stopped, stop: () => supervisor.stop() };
}

class Supervisor {
  readonly #table: readonly ChildSpec[];
  readonly #strategy: SupervisorOptions["strategy"];
  readonly #tolerance: RestartTolerance;
  readonly #children: Children;
  readonly #ends: Channel<Ended>;
  readonly #stopping = new AbortController();

  constructor(table: readonly ChildSpec[], options: SupervisorOptions) {
    this.#table = table;
    this.#strategy = options.strategy;
    this.#tolerance = new RestartTolerance(options.tolerance ?? { restarts: 2, periodMs: 5000 });
    this.#ends = new Channel({ capacity: Math.max(1, table.length) });
    // Waiting senders are bounded too: the tolerance bounds the incarnations.
    this.#children = new Children(table, (ended) => {
      this.#ends.send(ended).catch(() => {});
    });
  }

  /** Resolves when all children are ready, each started after those before it were. */
  async start(): Promise<void> {
    for (const at of this.#table.keys()) await this.#children.start(at, this.#stopping.signal);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async watch(): Promise<Exit> {
    const { signal } = this.#stopping;
    while (true) {
      try {
        await this.#replace(await this.#ends.receive(signal));
      } catch (error) {
        return await this.giveUp(error);
      }
    }
  }

  async giveUp(error: unknown): Promise<Exit> {
    await this.#children.stop(0, this.#table.length);
    return this.#stopping.signal.aborted ? { kind: "stopped" } : { kind: "crashed", error };
  }

  /** Throws where the tolerance is used up. */
  async #replace(ended: Ended): Promise<void> {
    const { at, exit } = ended;
    const spec = this.#table[at];
    if (!spec || !this.#children.bury(ended)) return;
    let error = exit.kind === "crashed" ? exit.error : null;
    const { name: child } = spec;
    loggerOf(child).warn("{child} {kind}: {error}", { child, kind: exit.kind, error });
    if (spec.restart === "temporary") return;
    if (spec.restart === "transient" && exit.kind === "stopped") return;
    if (spec.significant) throw error ?? new Error(`Cannot go on: ${spec.name} stopped`);

    const end = this.#strategy === "rest_for_one" ? this.#table.length : at + 1;
    const places = this.#table.keys().filter((i) =>
      i === at ||
      (i > at && i < end && this.#children.has(i) && this.#table[i]?.restart !== "temporary")
    ).toArray();
    do {
      await this.#children.stop(at, end);
      if (!this.#tolerance.allow(performance.now())) {
        const { restarts, periodMs } = this.#tolerance;
        throw new Error(
          `Cannot keep ${spec.name} running: ${restarts} restarts in ${periodMs} ms are used up`,
          { cause: error },
        );
      }
      error = await this.#startAll(places);
    } while (error);
  }

  /** Null, or what kept one of them from starting. */
  async #startAll(places: readonly number[]): Promise<unknown> {
    try {
      for (const at of places) await this.#children.start(at, this.#stopping.signal);
      return null;
    } catch (error) {
      this.#stopping.signal.throwIfAborted();
      return error ?? new Error("unknown");
    }
  }
}
