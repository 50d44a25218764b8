import type { Receiver } from "../actors/channel.ts";
import type { GenerationRequest, StreamEvent } from "../actors/request_router/protocol.ts";
import type { RequestId } from "../memory/ids.ts";
import type { RequestRouterHandle } from "./edge.ts";
import { Problem, problemOfFailure } from "./problem.ts";
import type { SequenceObserver } from "./sequence_observer.ts";

/** An event of the choice at `index`. */
export interface Arrival {
  readonly index: number;
  readonly event: StreamEvent;
}

interface Sequence {
  readonly id: RequestId;
  readonly index: number;
  readonly events: Receiver<StreamEvent>;
  readonly observer: SequenceObserver;
  /** A receive() is under way; at most one, so that a slow reader holds its sequences back. */
  armed: boolean;
  ended: boolean;
}

// Above this many ready events in one take() the rest waits for the reader's next pull.
const MAX_BATCH = 64;

/** The sequences of one HTTP request: they are admitted together, read as one stream, and cancelled together. */
export class SequenceGroup {
  readonly #router: RequestRouterHandle;
  readonly #sequences: Sequence[] = [];
  #ready: Arrival[] = [];
  #wake: (() => void) | null = null;

  private constructor(router: RequestRouterHandle) {
    this.#router = router;
  }

  /**
   * Submits all requests and waits until each has begun, so that what is wrong with one is still an HTTP status.
   * @throws {Problem} and then none of them runs.
   */
  static async open(
    router: RequestRouterHandle,
    requests: readonly GenerationRequest[],
    options: {
      readonly signal: AbortSignal;
      readonly observe: (index: number) => SequenceObserver;
    },
  ): Promise<SequenceGroup> {
    const group = new SequenceGroup(router);
    const { signal } = options;
    signal.addEventListener("abort", () => group.cancel(), { once: true });
    try {
      signal.throwIfAborted();
      group.#submit(requests, options.observe);
      await group.#begun();
    } catch (error) {
      group.cancel();
      throw error;
    }
    return group;
  }

  get size(): number {
    return this.#sequences.length;
  }

  /** Everything that is ready, in order within a sequence; waits until there is something. Empty: all have ended. */
  async take(): Promise<readonly Arrival[]> {
    if (this.#ready.length === 0) { for (const sequence of this.#sequences) this.#arm(sequence); }
    while (this.#ready.length === 0 && this.#sequences.some(({ ended }) => !ended)) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    for (const { index } of this.#ready.slice()) this.#drain(index);
    return this.#ready.splice(0);
  }

  /** Ends every sequence that still runs; readers see `cancelled`. */
  cancel(): void {
    for (const sequence of this.#sequences) {
      if (sequence.ended) continue;
      this.#router.cancel(sequence.id);
      this.#arrive(sequence, { kind: "cancelled" });
    }
  }

  #submit(
    requests: readonly GenerationRequest[],
    observe: (index: number) => SequenceObserver,
  ): void {
    const submission = this.#router.submit(requests);
    switch (submission.kind) {
      case "accepted":
        for (const [index, events] of submission.streams.entries()) {
          const { id } = requests[index] as GenerationRequest;
          const fresh = { armed: false, ended: false };
          this.#sequences.push({ id, index, events, observer: observe(index), ...fresh });
        }
        return;
      case "full":
        throw new Problem(
          "overloaded",
          "The server has no room for another request at this moment.",
        );
      case "not_ready":
        throw new Problem("unavailable", "The server is not ready to take requests.");
      default:
        submission satisfies never;
    }
  }

  async #begun(): Promise<void> {
    for (const sequence of this.#sequences) this.#arm(sequence);
    while (this.#ready.length < this.#sequences.length) {
      await new Promise<void>((resolve) => this.#wake = resolve);
      for (const { event } of this.#ready) {
        if (event.kind === "failed") throw problemOfFailure(event.error);
      }
    }
  }

  #arm(sequence: Sequence): void {
    if (sequence.armed || sequence.ended) return;
    sequence.armed = true;
    const arrive = (event: StreamEvent) => {
      sequence.armed = false;
      this.#arrive(sequence, event);
    };
    sequence.events.receive().then(arrive, (error) => arrive(closed(error)));
  }

  #drain(index: number): void {
    const sequence = this.#sequences[index];
    while (sequence && !sequence.armed && !sequence.ended && this.#ready.length < MAX_BATCH) {
      const next = sequence.events.tryReceive();
      if (next.state === "empty") return;
      this.#arrive(sequence, next.state === "ok" ? next.value : closed(next.reason));
    }
  }

  #arrive(sequence: Sequence, event: StreamEvent): void {
    if (sequence.ended) return;
    sequence.ended = event.kind === "finished" || event.kind === "failed" ||
      event.kind === "cancelled";
    sequence.observer.see(event);
    this.#ready.push({ index: sequence.index, event });
    this.#wake?.();
  }
}

/** A channel that closes without a terminal event is a bug of ours: the reader is told so, not left waiting. */
function closed(reason: unknown): StreamEvent {
  const why = reason instanceof Error ? `: ${reason.message}` : "";
  return {
    kind: "failed",
    error: { kind: "internal", message: `The stream ended early${why}`, param: null },
  };
}
