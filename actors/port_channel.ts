import { Channel, ChannelClosedError, type Link, type Sender } from "./channel.ts";
import { collectGarbage } from "./shared_garbage.ts";

/** The part of Worker, MessagePort and a worker's own global scope that a link needs. */
export interface Port extends EventTarget {
  postMessage(message: unknown): void;
  start?(): void;
}

type Frame<M> =
  /** Room for `credit` messages. Deno drops what is posted to a worker before it listens, so a hello is answered. */
  | { readonly kind: "hello"; readonly credit: number; readonly answer: boolean }
  | { readonly kind: "message"; readonly message: M }
  | { readonly kind: "credit"; readonly credit: number }
  | { readonly kind: "collect" }
  | { readonly kind: "close"; readonly reason: string | null }
  | { readonly kind: "hang_up"; readonly reason: string | null };

/** A link to another isolate, which holds what it was sent until it collects its garbage. */
export interface PortLink<Out, In> extends Link<Out, In> {
  /** Has the peer do so now. */
  collect(): void;
}

/**
 * A link over a Worker or MessagePort, opened once at each end. A message is posted only when the peer's
 * inbox has room for it: the receiver hands out credit and returns it as messages are taken.
 */
export function openPort<Out, In>(
  port: Port,
  options: { readonly capacity: number },
): PortLink<Out, In> {
  const post = (frame: Frame<Out>) => port.postMessage(frame);
  const sender = new PortSender<Out>(post);
  let taken = 0;
  const inbox = new Channel<In>({
    capacity: options.capacity,
    onTake: () => {
      if (++taken * 2 < options.capacity) return;
      post({ kind: "credit", credit: taken });
      taken = 0;
    },
  });
  const hello = (answer: boolean) => post({ kind: "hello", credit: options.capacity, answer });

  let ended: { readonly kind: "hang_up"; readonly reason: string | null } | null = null;
  const end = (reason?: Error) => {
    ended = { kind: "hang_up", reason: reason?.message ?? null };
    sender.refuse();
    inbox.close(reason);
    if (port instanceof MessagePort) port.close();
  };
  const close = (reason?: Error) => {
    if (ended) return;
    post({ kind: "hang_up", reason: reason?.message ?? null });
    end(reason);
  };
  const receive = (frame: Frame<In>) => {
    if (ended) return frame.kind === "hello" ? post(ended) : undefined;
    switch (frame.kind) {
      case "hello":
        sender.greet(frame.credit);
        if (!frame.answer) hello(true);
        break;
      case "message":
        if (!inbox.trySend(frame.message) && !inbox.closed) {
          close(
            new RangeError(`Cannot receive message: the peer exceeds ${inbox.capacity} credits`),
          );
        }
        break;
      case "credit":
        sender.extend(frame.credit);
        break;
      case "collect":
        collectGarbage();
        break;
      case "close":
        inbox.close(asError(frame.reason));
        break;
      case "hang_up":
        end(asError(frame.reason));
        break;
      default:
        frame satisfies never;
    }
  };
  const listener = (event: Event) => receive((event as MessageEvent<Frame<In>>).data);
  port.addEventListener("message", listener);
  port.start?.();
  hello(false);
  return { sender, receiver: inbox, close, collect: () => post({ kind: "collect" }) };
}

const asError = (reason: string | null) => reason === null ? undefined : new Error(reason);

class PortSender<M> implements Sender<M> {
  readonly #post: (frame: Frame<M>) => void;
  /** Sends without credit yet, in order; their messages have not left. */
  readonly #waiting: { readonly go: () => void; readonly refuse: () => void }[] = [];
  #credit: number | null = null;
  #closed = false;
  #farewell: Frame<M> | null = null;

  constructor(post: (frame: Frame<M>) => void) {
    this.#post = post;
  }

  /** The peer listens from now on. It may greet twice, the credit of a greeting counts once. */
  greet(credit: number): void {
    if (this.#credit !== null) return;
    this.extend(credit);
    if (this.#farewell) this.#post(this.#farewell);
  }

  extend(credit: number): void {
    this.#credit = (this.#credit ?? 0) + credit;
    while (this.#credit > 0 && this.#waiting.length > 0) this.#waiting.shift()?.go();
  }

  trySend(message: M): boolean {
    if (this.#closed || !this.#credit || this.#waiting.length > 0) return false;
    this.#spend(message);
    return true;
  }

  send(message: M): Promise<void> {
    return new Promise((resolve, reject) => {
      const refuse = () => reject(new ChannelClosedError("Cannot send: the channel is closed"));
      if (this.#closed) return refuse();
      if (this.trySend(message)) return resolve();
      const go = () => {
        try {
          resolve(this.#spend(message));
        } catch (error) {
          reject(error);
        }
      };
      this.#waiting.push({ go, refuse });
    });
  }

  close(reason?: Error): void {
    if (this.#closed) return;
    this.refuse();
    this.#farewell = { kind: "close", reason: reason?.message ?? null };
    if (this.#credit !== null) this.#post(this.#farewell);
  }

  /** The connection is over: nothing can be sent, and nobody needs to be told. */
  refuse(): void {
    this.#closed = true;
    for (const waiting of this.#waiting.splice(0)) waiting.refuse();
  }

  /** A message that cannot be cloned throws here and costs no credit. */
  #spend(message: M): void {
    this.#post({ kind: "message", message });
    this.#credit = (this.#credit ?? 0) - 1;
  }
}
