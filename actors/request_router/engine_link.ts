import { getLogger } from "@logtape/logtape";
import { type Epoch, epoch as epochOf } from "../../memory/ids.ts";
import type { Actor, Exit } from "../actor.ts";
import type { Sender } from "../channel.ts";
import type { AdapterCommand, EngineCommand } from "../engine_protocol.ts";
import { messageOf } from "../message_of.ts";
import { RestartTolerance } from "../restart_tolerance.ts";
import {
  type EngineProcess,
  type EngineProcessOptions,
  startEngineProcess,
} from "./engine_process.ts";
import type { RouterEvent } from "./ports.ts";
import type { AdapterPlaces, EngineEvent } from "./protocol.ts";
import type { AdapterRegistry } from "./registry.ts";
import { makeSocketDirectory } from "./socket_directory.ts";

export interface EngineLinkOptions extends EngineProcessOptions {
  readonly registry: AdapterRegistry;
  /** Where what concerns requests goes: the router's mailbox. */
  readonly deliver: Sender<RouterEvent>;
  /** Sees every event but pongs before it is delivered, for progress bars and the like. */
  readonly observe?: (event: EngineEvent) => void;
  readonly pingMs: number;
  /** Pings without any sign of life after which a ready engine is killed. */
  readonly missedPings: number;
  /** First pause before a restart, doubled with each restart in the tolerance's period. */
  readonly backoffMs: number;
  readonly tolerance: { readonly restarts: number; readonly periodMs: number };
  /** How long the engine may take to stop when this actor does. */
  readonly stopMs: number;
}

const logger = getLogger(["chorus", "engine"]);
/** Of this whole process: what an earlier link left in the router's mailbox must not pass for a later one's. */
let lastEpoch = 0;

/** The engine, whichever process it is at the moment. Ready once it was; crashed when it cannot be kept alive. */
export class EngineLink implements Actor {
  readonly name = "engine";
  readonly ready: Promise<void>;
  readonly stopped: Promise<Exit>;
  readonly #options: EngineLinkOptions;
  readonly #tolerance: RestartTolerance;
  readonly #stopping = new AbortController();
  readonly #readiness = Promise.withResolvers<void>();
  /** The process that is alive, and the same once it is ready and knows all adapters. */
  #alive: EngineProcess | null = null;
  #current: EngineProcess | null = null;
  /** What the registry said while a new engine is being told of all adapters; null at other times. */
  #news: AdapterCommand[] | null = null;
  /** Who asked where adapters are. */
  #asked: PromiseWithResolvers<AdapterPlaces | null> | null = null;
  #silence = 0;
  /** The engine's own word that it will never start. */
  #hopeless: string | null = null;

  constructor(options: EngineLinkOptions) {
    this.#options = options;
    this.#tolerance = new RestartTolerance(options.tolerance);
    this.ready = this.#readiness.promise;
    this.ready.catch(() => {}); // `stopped` tells it too
    options.registry.follow((command) => this.#tell(command));
    this.stopped = this.#run().catch((error) => this.#giveUp(messageOf(error)))
      .finally(() => this.#readiness.reject(new Error("Cannot start the engine: it has stopped")));
  }

  /**
   * For the router, which must not wait: a command to the engine of an epoch; for any other it is dropped, and the
   * ledger replays. What waits here is bounded by the requests in the ledger, and an engine that takes nothing is
   * killed for its silence.
   */
  send(epoch: Epoch, command: EngineCommand): void {
    if (this.#current?.epoch !== epoch) return;
    this.#current.link.sender.send(command).catch(() => {}); // it died, which #live sees
  }

  /** Where adapters are; null where there is no engine to say so. */
  async places(): Promise<AdapterPlaces | null> {
    if (!this.#current) return null;
    if (!this.#asked) {
      this.#asked = Promise.withResolvers();
      this.#tell({ kind: "list_adapters" });
    }
    return await this.#asked.promise;
  }

  stop(): void {
    this.#stopping.abort();
    this.#alive?.stop(this.#options.stopMs);
  }

  async #run(): Promise<Exit> {
    const { backoffMs } = this.#options;
    const directory = await makeSocketDirectory();
    try {
      while (true) {
        const epoch = epochOf(++lastEpoch);
        const reason = await this.#live(directory, epoch);
        if (this.#stopping.signal.aborted) return { kind: "stopped" };
        logger.error("engine {epoch} is lost: {reason}", { epoch, reason });
        await this.#pass({ kind: "engine_lost", epoch, reason });
        if (this.#hopeless !== null) return crashed(this.#hopeless);
        if (!this.#tolerance.allow(performance.now())) {
          const { restarts, periodMs } = this.#tolerance;
          return await this.#giveUp(
            `${restarts} restarts in ${periodMs} ms are used up, and ${reason}`,
          );
        }
        await pause(backoffMs * 2 ** (this.#tolerance.recent - 1), this.#stopping.signal);
        if (this.#stopping.signal.aborted) return { kind: "stopped" };
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }

  /** Nobody else tells why there will be no engine. */
  async #giveUp(error: string): Promise<Exit> {
    const event: EngineEvent = { kind: "start_failed", epoch: epochOf(lastEpoch), error };
    await this.#pass(event).catch(() => {}); // the router may be what has failed
    return crashed(error);
  }

  /** One incarnation from its start to its end; why it ended. */
  async #live(directory: string, epoch: Epoch): Promise<string> {
    const { signal } = this.#stopping;
    let process: EngineProcess;
    try {
      process = await startEngineProcess(directory, epoch, { ...this.#options, signal });
    } catch (error) {
      return messageOf(error);
    }
    this.#alive = process;
    if (signal.aborted) this.stop();
    this.#silence = 0;
    const heartbeat = setInterval(() => this.#ping(process), this.#options.pingMs);
    let reason = "it hung up";
    try {
      for await (const event of process.link.receiver) await this.#hear(process, event);
    } catch (error) {
      reason = messageOf(error);
    }
    clearInterval(heartbeat);
    this.#alive = this.#current = this.#news = null;
    this.#answer(null);
    // An engine that died says why by its exit code; one that only cut the connection has to go.
    if (!signal.aborted) {
      await Promise.race([process.ended, pause(2000, signal)]);
      process.kill(reason);
    }
    return await process.ended;
  }

  async #hear(process: EngineProcess, event: EngineEvent): Promise<void> {
    if (event.epoch !== process.epoch) {
      throw new RangeError(
        `Cannot follow the engine: expected epoch ${process.epoch}, received ${event.epoch}`,
      );
    }
    this.#silence = 0;
    if (event.kind === "pong") return;
    if (event.kind === "engine_ready") {
      // Not awaited: its answers to the registrations must be read meanwhile.
      this.#welcome(process, event).catch(() => {}); // it died, which #live sees
      return;
    }
    switch (event.kind) {
      case "adapter_registered":
      case "adapter_rejected":
      case "adapter_pinned":
        this.#options.registry.note(event);
        break;
      case "adapters_listed":
        return this.#answer(event.places);
    }
    if (event.kind === "start_failed") this.#hopeless = event.error;
    await this.#pass(event);
  }

  /** Tells a new engine of all adapters, and only then the router of the engine. */
  async #welcome(process: EngineProcess, ready: EngineEvent): Promise<void> {
    this.#news = [];
    let commands = this.#options.registry.commands();
    while (commands.length > 0) {
      for (const command of commands) await process.link.sender.send(command);
      if (this.#alive !== process) return;
      commands = this.#news.splice(0);
    }
    this.#news = null;
    this.#current = process;
    this.#readiness.resolve();
    await this.#pass(ready);
  }

  /** To the engine that is there; one that comes later is told of everything. */
  #tell(command: AdapterCommand): void {
    if (this.#news) this.#news.push(command);
    else this.#current?.link.sender.send(command).catch(() => {}); // it died, which #live sees
  }

  #answer(places: AdapterPlaces | null): void {
    this.#asked?.resolve(places);
    this.#asked = null;
  }

  async #pass(event: EngineEvent): Promise<void> {
    this.#options.observe?.(event);
    switch (event.kind) {
      case "engine_ready":
      case "engine_lost":
      case "start_failed":
      case "progressed":
        await this.#options.deliver.send(event);
    }
  }

  /** An engine that loads its model has no time to answer, so only a ready one is asked. */
  #ping(process: EngineProcess): void {
    if (this.#current !== process) return;
    const { missedPings, pingMs } = this.#options;
    if (this.#silence >= missedPings) {
      return process.kill(`it gave no sign of life for ${this.#silence * pingMs} ms`);
    }
    this.#silence++;
    process.link.sender.trySend({ kind: "ping", sequence: this.#silence });
  }
}

const crashed = (why: string): Exit => ({
  kind: "crashed",
  error: new Error(`Cannot keep the engine running: ${why}`),
});

/** Resolves after `ms`, or at once when the signal aborts. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}
