import { Channel } from "../../actors/channel.ts";
import type { Submission } from "../../actors/request_router/handle.ts";
import type { GenerationRequest, StreamEvent } from "../../actors/request_router/protocol.ts";
import type { RequestId } from "../../memory/ids.ts";
import type { RequestRouterHandle } from "../../routes/edge.ts";

type Script = (request: GenerationRequest) => Iterable<StreamEvent> | AsyncIterable<StreamEvent>;

/** A router in memory that answers each request by a script, over the real bounded channel. */
export class ScriptedRouter implements RequestRouterHandle {
  readonly submitted: GenerationRequest[] = [];
  readonly cancelled: RequestId[] = [];
  /** Events that readers have made room for. */
  played = 0;
  /** Submissions that would hold this one or a later one are refused. */
  refuseFrom = Infinity;
  capacity = Infinity;
  refusal: "full" | "not_ready" = "full";
  readonly #plays = new Set<Promise<void>>();
  readonly #channels = new Map<RequestId, Channel<StreamEvent>>();
  readonly #waiting: { readonly count: number; readonly resolve: () => void }[] = [];

  constructor(private readonly script: Script, private readonly ahead = 8) {}

  submit(requests: readonly GenerationRequest[]): Submission {
    if (this.submitted.length + requests.length > this.refuseFrom) return { kind: this.refusal };
    const streams = requests.map((request) => {
      this.submitted.push(request);
      const channel = new Channel<StreamEvent>({ capacity: this.ahead });
      this.#channels.set(request.id, channel);
      const play = this.#play(request, channel).finally(() => this.#plays.delete(play));
      this.#plays.add(play);
      return channel;
    });
    return { kind: "accepted", streams };
  }

  cancel(id: RequestId): void {
    this.cancelled.push(id);
    this.#channels.get(id)?.close();
    for (const { count, resolve } of this.#waiting) {
      if (this.cancelled.length >= count) resolve();
    }
  }

  /** Resolves once `count` requests were cancelled. */
  untilCancelled(count: number): Promise<void> {
    if (this.cancelled.length >= count) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push({ count, resolve }));
  }

  /** Resolves when every script has ended, for its request's end or because its reader has gone. */
  async settled(): Promise<void> {
    while (this.#plays.size > 0) await Promise.all(this.#plays);
  }

  async #play(request: GenerationRequest, channel: Channel<StreamEvent>): Promise<void> {
    for await (const event of this.script(request)) {
      if (channel.closed) return;
      // A send that waits for room is refused when the channel closes under it: the reader has gone.
      if (await channel.send(event).then(() => false, () => true)) return;
      this.played++;
    }
    this.#channels.delete(request.id);
    channel.close();
  }
}

const encoder = new TextEncoder();

/** A whole run of events that says `pieces`, one token each; its logprobs are -1, -2, … */
export function* saying(pieces: readonly string[], promptTokens = 3): Generator<StreamEvent> {
  yield { kind: "started", promptTokens: Array.from({ length: promptTokens }, (_, i) => i) };
  for (const [i, text] of pieces.entries()) yield said(text, i);
  yield finished(pieces.length, promptTokens);
}

/** One token event. */
export const said = (text: string, i = 0): StreamEvent => ({
  kind: "tokens",
  text,
  tokens: [streamToken(text, i)],
});

export const finished = (completionTokens: number, promptTokens = 3): StreamEvent => ({
  kind: "finished",
  reason: "stop",
  usage: { promptTokens, completionTokens },
});

/** A token whose chosen and likeliest texts differ. */
export function streamToken(text: string, i: number) {
  const bytes = [...encoder.encode(text)];
  return {
    token: i,
    text,
    bytes,
    logprobs: {
      logprob: -1 - i,
      top: [{ token: 99, text: "~", bytes: [126], logprob: -0.5 }],
    },
  };
}
