/** Where messages go in; the holder cannot tell in which thread or process the receiver lives. */
export interface Sender<M> {
  /** Resolves once the channel has taken the message, which waits for room; rejects once it is closed. */
  send(message: M): Promise<void>;
  /** False when there is no room at this moment, or the channel is closed. */
  trySend(message: M): boolean;
  /** Nothing more will be sent; what was sent is still delivered, then receivers see `reason`. */
  close(reason?: Error): void;
}

/** Where messages come out, in the order in which they went in. */
export interface Receiver<M> extends AsyncIterable<M> {
  /** Waits for a message; rejects when closed and empty, or with the signal's reason. */
  receive(signal?: AbortSignal): Promise<M>;
  tryReceive(): Received<M>;
}

export type Received<M> =
  | { readonly state: "ok"; readonly value: M }
  | { readonly state: "empty" }
  | { readonly state: "closed"; readonly reason: Error | null };

/** One end of a two-way connection between two actors. */
export interface Link<Out, In> {
  readonly sender: Sender<Out>;
  readonly receiver: Receiver<In>;
  /** End both directions at once, on both ends; messages not yet received here stay receivable. */
  close(reason?: Error): void;
}

/** A send after close(), or a receive with nothing left to come. */
export class ChannelClosedError extends Error {
  override readonly name = "ChannelClosedError";
}

interface Waiting<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (reason: unknown) => void;
}

/** Bounded FIFO queue within one thread, after the semantics of @std/async's Channel. */
export class Channel<M> implements Sender<M>, Receiver<M> {
  readonly capacity: number;
  readonly #onTake: ((message: M) => void) | undefined;
  readonly #buffer: M[] = [];
  readonly #senders: (Waiting<void> & { readonly message: M })[] = [];
  readonly #receivers: Waiting<M>[] = [];
  #closed: { readonly reason: Error | null } | null = null;

  /** `onTake` sees each message at the moment a receiver takes it: credit is given back there. */
  constructor(options: { readonly capacity: number; readonly onTake?: (message: M) => void }) {
    if (!Number.isSafeInteger(options.capacity) || options.capacity < 1) {
      throw new RangeError(
        `Cannot create channel: capacity must be a positive integer, received ${options.capacity}`,
      );
    }
    this.capacity = options.capacity;
    this.#onTake = options.onTake;
  }

  /** Messages that wait in the buffer. */
  get size(): number {
    return this.#buffer.length;
  }

  get closed(): boolean {
    return this.#closed !== null;
  }

  send(message: M): Promise<void> {
    if (this.#closed) return Promise.reject(this.#refusal("send"));
    if (this.trySend(message)) return Promise.resolve();
    return new Promise((resolve, reject) => this.#senders.push({ message, resolve, reject }));
  }

  trySend(message: M): boolean {
    if (this.#closed) return false;
    const receiver = this.#receivers.shift();
    if (receiver) {
      this.#onTake?.(message);
      receiver.resolve(message);
      return true;
    }
    if (this.#buffer.length >= this.capacity) return false;
    this.#buffer.push(message);
    return true;
  }

  receive(signal?: AbortSignal): Promise<M> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    const received = this.tryReceive();
    if (received.state === "ok") return Promise.resolve(received.value);
    if (received.state === "closed") {
      return Promise.reject(received.reason ?? this.#refusal("receive"));
    }
    return signal ? this.#waitUntil(signal) : new Promise((resolve, reject) => {
      this.#receivers.push({ resolve, reject });
    });
  }

  tryReceive(): Received<M> {
    if (this.#buffer.length === 0) {
      return this.#closed ? { state: "closed", reason: this.#closed.reason } : { state: "empty" };
    }
    const value = this.#buffer.shift() as M;
    const sender = this.#senders.shift();
    if (sender) {
      this.#buffer.push(sender.message);
      sender.resolve();
    }
    this.#onTake?.(value);
    return { state: "ok", value };
  }

  close(reason?: Error): void {
    if (this.#closed) return;
    this.#closed = { reason: reason ?? null };
    for (const sender of this.#senders.splice(0)) sender.reject(this.#refusal("send"));
    for (const receiver of this.#receivers.splice(0)) {
      receiver.reject(reason ?? this.#refusal("receive"));
    }
  }

  /** Ends at an orderly close; throws the reason of any other. */
  async *[Symbol.asyncIterator](): AsyncGenerator<M, void, void> {
    while (true) {
      let message: M;
      try {
        message = await this.receive();
      } catch (error) {
        if (this.#closed?.reason === null) return;
        throw error;
      }
      yield message;
    }
  }

  #waitUntil(signal: AbortSignal): Promise<M> {
    return new Promise((resolve, reject) => {
      const settle = () => signal.removeEventListener("abort", abort);
      const waiting: Waiting<M> = {
        resolve: (message) => (settle(), resolve(message)),
        reject: (reason) => (settle(), reject(reason)),
      };
      const abort = () => {
        this.#receivers.splice(this.#receivers.indexOf(waiting), 1);
        waiting.reject(signal.reason);
      };
      signal.addEventListener("abort", abort);
      this.#receivers.push(waiting);
    });
  }

  #refusal(action: string): ChannelClosedError {
    const why = this.#closed?.reason?.message;
    return new ChannelClosedError(
      `Cannot ${action}: the channel is closed${why === undefined ? "" : ` (${why})`}`,
    );
  }
}
