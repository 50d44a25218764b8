import type { Receiver } from "./channel.ts";

/** What a handler answers: take the next message, or end in good order. */
export type Next = "continue" | "stop";

/** How an actor ended. */
export type Exit =
  | { readonly kind: "stopped" }
  | { readonly kind: "crashed"; readonly error: unknown };

/** What an actor does; `State` is its own and leaves it only as messages. */
export interface Behavior<State, Message> {
  readonly name: string;
  /** The actor is ready when this resolves; a throw means that it never was. */
  start(): State | Promise<State>;
  handle(state: State, message: Message): Next | Promise<Next>;
  /** The last thing that happens to the state, however the actor ended. */
  end?(state: State, exit: Exit): void | Promise<void>;
}

/** A running actor, as its supervisor sees it. */
export interface Actor {
  readonly name: string;
  readonly ready: Promise<void>;
  /** Never rejects. */
  readonly stopped: Promise<Exit>;
  /** End after the message in hand; what waits in the mailbox stays there for a successor. */
  stop(): void;
}

/** Run `behavior` on the messages of `mailbox`, one at a time; the mailbox outlives the actor. */
export function spawn<State, Message>(
  behavior: Behavior<State, Message>,
  mailbox: Receiver<Message>,
): Actor {
  const stopping = new AbortController();
  const started = (async () => await behavior.start())();
  const ready = started.then(() => {});
  ready.catch(() => {}); // a start nobody waits for is still told through `stopped`
  const stopped = started.then(
    (state) => live(behavior, state, mailbox, stopping.signal),
    (error): Exit => ({ kind: "crashed", error }),
  );
  return { name: behavior.name, ready, stopped, stop: () => stopping.abort() };
}

async function live<State, Message>(
  behavior: Behavior<State, Message>,
  state: State,
  mailbox: Receiver<Message>,
  stopping: AbortSignal,
): Promise<Exit> {
  const exit = await loop(behavior, state, mailbox, stopping);
  try {
    await behavior.end?.(state, exit);
  } catch (error) {
    return exit.kind === "crashed" ? exit : { kind: "crashed", error };
  }
  return exit;
}

async function loop<State, Message>(
  behavior: Behavior<State, Message>,
  state: State,
  mailbox: Receiver<Message>,
  stopping: AbortSignal,
): Promise<Exit> {
  try {
    while (!stopping.aborted) {
      const received = mailbox.tryReceive();
      if (received.state === "closed") {
        if (received.reason) throw received.reason;
        break;
      }
      const message = received.state === "ok" ? received.value : await next(mailbox, stopping);
      if (message === END) break;
      if (await behavior.handle(state, message) === "stop") break;
    }
    return { kind: "stopped" };
  } catch (error) {
    return { kind: "crashed", error };
  }
}

const END = Symbol("end");

async function next<Message>(
  mailbox: Receiver<Message>,
  stopping: AbortSignal,
): Promise<Message | typeof END> {
  try {
    return await mailbox.receive(stopping);
  } catch (error) {
    if (stopping.aborted) return END;
    const end = mailbox.tryReceive();
    if (end.state === "closed" && end.reason === null) return END;
    throw error;
  }
}
