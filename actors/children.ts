import { getLogger } from "@logtape/logtape";
import type { Actor, Exit } from "./actor.ts";

/** One row of a supervision table, which lists the children in start order. */
export interface ChildSpec {
  readonly name: string;
  /** Restarted: permanent always, transient after a crash, temporary never. */
  readonly restart: "permanent" | "transient" | "temporary";
  /** Its own end, where it is to be restarted for that, ends the supervisor instead: it has tried all there is. */
  readonly significant?: boolean;
  /** How long it may take to stop, 5,000 unless said otherwise; after that it is left behind. */
  readonly shutdownMs?: number;
  start(): Actor;
}

/** An incarnation that came to its end without being told to. */
export interface Ended {
  readonly at: number;
  readonly actor: Actor;
  readonly exit: Exit;
}

const logger = getLogger(["chorus", "supervisor"]);
/** What becomes of a child has a category of its own: cli/logging.ts leaves out the engine, whose end is told otherwise. */
export const loggerOf = (child: string) => getLogger(["chorus", child]);

/** The places of a supervision table and who is in them: at most one incarnation each. */
export class Children {
  readonly #table: readonly ChildSpec[];
  readonly #onEnd: (ended: Ended) => void;
  readonly #actors: (Actor | null)[];

  constructor(table: readonly ChildSpec[], onEnd: (ended: Ended) => void) {
    this.#table = table;
    this.#onEnd = onEnd;
    this.#actors = table.map(() => null);
  }

  has(at: number): boolean {
    return this.#actors[at] !== null;
  }

  /** Takes an incarnation that has ended out of its place; false where another has it by now. */
  bury({ at, actor }: Ended): boolean {
    if (this.#actors[at] !== actor) return false;
    this.#actors[at] = null;
    return true;
  }

  /** Resolves when the child is ready; rejects when it ends before that, or `stopping` aborts. */
  async start(at: number, stopping: AbortSignal): Promise<void> {
    stopping.throwIfAborted();
    const actor = this.#table[at]?.start();
    if (!actor) throw new RangeError(`Cannot start child: there is no place ${at}`);
    this.#actors[at] = actor;
    const given = Promise.withResolvers<never>();
    const giveUp = () => given.reject(stopping.reason);
    stopping.addEventListener("abort", giveUp);
    try {
      await Promise.race([actor.ready, given.promise, endedEarly(actor)]);
    } catch (error) {
      if (!stopping.aborted) {
        const { name: child } = actor;
        loggerOf(child).error("{child} cannot start: {error}", { child, error });
      }
      throw error;
    } finally {
      stopping.removeEventListener("abort", giveUp);
    }
    actor.stopped.then((exit) => this.#onEnd({ at, actor, exit }));
  }

  /** Stops the children in [first, end), the last one first; theirs are ends that nobody hears of. */
  async stop(first: number, end: number): Promise<void> {
    for (let at = end - 1; at >= first; at--) {
      const actor = this.#actors[at];
      this.#actors[at] = null;
      if (actor) await this.#stop(actor, this.#table[at]?.shutdownMs ?? 5000);
    }
  }

  async #stop(actor: Actor, deadlineMs: number): Promise<void> {
    actor.stop();
    const late = Promise.withResolvers<"late">();
    const timer = setTimeout(() => late.resolve("late"), deadlineMs);
    if (await Promise.race([actor.stopped, late.promise]) === "late") {
      logger.error("{child} did not stop in {deadlineMs} ms", { child: actor.name, deadlineMs });
    }
    clearTimeout(timer);
  }
}

async function endedEarly(actor: Actor): Promise<never> {
  const exit = await actor.stopped;
  throw exit.kind === "crashed"
    ? exit.error
    : new Error(`Cannot start ${actor.name}: it stopped before it was ready`);
}
