import type { RequestId } from "../../memory/ids.ts";
import { Channel, type Receiver, type Sender } from "../channel.ts";
import type { AdapterRoute } from "../sampling.ts";
import type { EngineStatus, RouterMessage, RouterOutputs } from "./ports.ts";
import type { GenerationRequest, StreamEvent } from "./protocol.ts";
import type { AdapterRegistry } from "./registry.ts";

export type Submission =
  /** A stream for each request. Taking an event gives the engine leave to make more; it ends with exactly one terminal event. */
  | { readonly kind: "accepted"; readonly streams: readonly Receiver<StreamEvent>[] }
  /** There is no room for all of them beside the requests that are held: try again later. */
  | { readonly kind: "full" }
  /** There is no engine yet, or never again, or the server is shutting down. */
  | { readonly kind: "not_ready" };

export interface RequestRouterOptions {
  readonly mailbox: Sender<RouterMessage>;
  /** Requests held at once; the router's own `capacity`. */
  readonly capacity: number;
  /** Tokens that may be made ahead of a reader; the router's own `window`. */
  readonly window: number;
  /** Told of each adapter that a request uses, from its submission to its end. */
  readonly adapters?: Pick<AdapterRegistry, "hold" | "began" | "release">;
}

interface OpenRequest {
  readonly events: Channel<StreamEvent>;
  readonly routes: readonly AdapterRoute[];
  readonly tenant: string | null;
  /** It has had a token. */
  begun: boolean;
}

/** The router as the routes see it: streams of events by request. None of its methods but drain() waits. */
export class RequestRouter implements Pick<RouterOutputs, "emit" | "status" | "abandon" | "later"> {
  readonly #options: RequestRouterOptions;
  readonly #streams = new Map<RequestId, OpenRequest>();
  #status: EngineStatus = { phase: "starting", limits: null, reason: null };
  #draining: PromiseWithResolvers<void> | null = null;

  constructor(options: RequestRouterOptions) {
    this.#options = options;
  }

  /** Requests admitted and not ended. */
  get size(): number {
    return this.#streams.size;
  }

  /** Requests that it holds at once. */
  get capacity(): number {
    return this.#options.capacity;
  }

  get engine(): EngineStatus {
    return this.#status;
  }

  /** All of them or none. Requests that come while the engine is being restarted are taken, and wait. */
  submit(requests: readonly GenerationRequest[]): Submission {
    const { phase } = this.#status;
    if (this.#draining || phase === "starting" || phase === "failed") return { kind: "not_ready" };
    const running = requests.find(({ id }) => this.#streams.has(id));
    if (running) {
      throw new RangeError(`Cannot submit request: expected a new id, received ${running.id}`);
    }
    const { capacity, mailbox, adapters } = this.#options;
    if (this.#streams.size + requests.length > capacity) return { kind: "full" };
    if (!mailbox.trySend({ kind: "generate", requests })) return { kind: "full" };
    const streams = requests.map(({ id, adapters: routes, tenant = null }) => {
      const events = this.#open(id);
      this.#streams.set(id, { events, routes, tenant, begun: false });
      for (const { adapter } of routes) adapters?.hold(adapter, tenant);
      return events;
    });
    return { kind: "accepted", streams };
  }

  /** Ends a request whose reader has gone; unknown and ended requests are ignored. */
  cancel(request: RequestId): void {
    if (this.#streams.has(request)) this.later({ kind: "cancel", request });
  }

  /** Admits nothing more and resolves when all have ended, which at the deadline they are made to do. */
  async drain(deadlineMs: number): Promise<void> {
    this.#draining ??= Promise.withResolvers();
    const timer = setTimeout(() => this.abandon("the server is shutting down"), deadlineMs);
    if (this.#streams.size === 0) this.#draining.resolve();
    await this.#draining.promise;
    clearTimeout(timer);
  }

  /** From the router. The channel has room: credit bounds what is made, one end is left for the last event. */
  emit(request: RequestId, event: StreamEvent): boolean {
    const open = this.#streams.get(request);
    if (!open) return false;
    const { events, routes, tenant, begun } = open;
    if (!events.trySend(event)) {
      throw new RangeError(`Cannot deliver ${event.kind} to ${request}: its stream is full`);
    }
    if (event.kind === "tokens" && !begun) {
      open.begun = true;
      for (const { adapter } of routes) this.#options.adapters?.began(adapter, tenant);
    }
    if (event.kind === "finished" || event.kind === "failed" || event.kind === "cancelled") {
      events.close();
      this.#streams.delete(request);
      for (const { adapter } of routes) this.#options.adapters?.release(adapter, begun, tenant);
      if (this.#streams.size === 0) this.#draining?.resolve();
    }
    return true;
  }

  status(status: EngineStatus): void {
    this.#status = status;
  }

  /** Fails every stream; the router hears that their readers are gone. */
  abandon(reason: string): void {
    const message = `Cannot finish the request: ${reason}`;
    for (const id of this.#streams.keys()) {
      this.cancel(id);
      this.emit(id, { kind: "failed", error: { kind: "unavailable", message, param: null } });
    }
  }

  /** Bounded by the requests held: each has a few messages of its own at most. */
  later(message: RouterMessage): void {
    this.#options.mailbox.send(message).catch(() => {}); // closed: the router is gone, and so are its streams
  }

  /** `started`, the echo, at most `window` events with tokens, a tail of text, and the end. */
  #open(request: RequestId): Channel<StreamEvent> {
    const { window } = this.#options;
    let unreported = 0;
    const onTake = (event: StreamEvent) => {
      if (event.kind !== "tokens") return;
      unreported += event.tokens.length;
      if (unreported * 4 < window || !this.#streams.has(request)) return;
      this.later({ kind: "consumed", request, tokens: unreported });
      unreported = 0;
    };
    return new Channel({ capacity: window + 4, onTake });
  }
}
