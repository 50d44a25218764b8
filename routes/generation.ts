import type { StreamToken } from "../actors/request_router/protocol.ts";
import { asProblem, Problem, problemOfFailure } from "./problem.ts";
import type { Arrival, SequenceGroup } from "./sequence_group.ts";
import { eventStream } from "./sse.ts";
import { type Usage, UsageSum } from "./usage.ts";

/** A part of a choice, as both endpoints and both ways of answering see it. */
export type Piece =
  | { readonly kind: "opened"; readonly index: number }
  | {
    /** Echoed prompt or output. */
    readonly kind: "text";
    readonly index: number;
    readonly text: string;
    readonly tokens: readonly StreamToken[];
  }
  | { readonly kind: "closed"; readonly index: number; readonly reason: "stop" | "length" };

/** A whole choice; `tokens` holds the echoed prompt's too. */
export interface Choice {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly StreamToken[];
  readonly reason: "stop" | "length";
}

/** How an endpoint words its answers. */
export interface Wording {
  /** null: this piece says nothing in a stream. */
  chunk(piece: Piece): object | null;
  usageChunk(usage: Usage): object;
  whole(choices: readonly Choice[], usage: Usage): object;
}

export interface Delivery {
  readonly stream: boolean;
  /** A last chunk with the usage, in a stream. */
  readonly includeUsage: boolean;
  readonly includeTimings: boolean;
  /** Choices a prompt. */
  readonly n: number;
}

/** Answers with the group's sequences, as a stream or at once. @throws {Problem} where nothing was sent yet. */
export function deliver(
  group: SequenceGroup,
  wording: Wording,
  delivery: Delivery,
): Promise<Response> | Response {
  return delivery.stream ? streamed(group, wording, delivery) : whole(group, wording, delivery);
}

function streamed(group: SequenceGroup, wording: Wording, delivery: Delivery): Response {
  const reader = new PieceReader(delivery);
  let open = group.size;
  return eventStream({
    cancel: () => group.cancel(),
    async next() {
      const values: object[] = [];
      try {
        while (open > 0 && values.length === 0) {
          for (const arrival of await group.take()) {
            const piece = reader.piece(arrival);
            const chunk = wording.chunk(piece);
            if (chunk) values.push(chunk);
            if (piece.kind === "closed") open--;
          }
        }
        if (open === 0 && delivery.includeUsage) {
          values.push(wording.usageChunk(reader.usage.total));
        }
        return { values, done: open === 0 };
      } catch (error) {
        group.cancel();
        return { values: [...values, asProblem(error).body], done: true };
      }
    },
  });
}

async function whole(
  group: SequenceGroup,
  wording: Wording,
  delivery: Delivery,
): Promise<Response> {
  const reader = new PieceReader(delivery);
  const choices = Array.from({ length: group.size }, (_, index) => ({
    index,
    text: "",
    tokens: [] as StreamToken[],
    reason: "stop" as "stop" | "length",
  }));
  let open = group.size;
  try {
    while (open > 0) {
      for (const arrival of await group.take()) {
        const piece = reader.piece(arrival);
        const choice = choices[arrival.index];
        if (!choice || piece.kind === "opened") continue;
        if (piece.kind === "closed") {
          choice.reason = piece.reason;
          open--;
        } else {
          choice.text += piece.text;
          for (const token of piece.tokens) choice.tokens.push(token);
        }
      }
    }
  } catch (error) {
    group.cancel();
    throw error;
  }
  return Response.json(wording.whole(choices, reader.usage.total));
}

/** Turns events into pieces and adds up the usage on the way. */
class PieceReader {
  readonly usage: UsageSum;

  constructor({ n, includeTimings }: Delivery) {
    this.usage = new UsageSum(n, includeTimings);
  }

  /** @throws {Problem} for an event that ends the sequence badly. */
  piece({ index, event }: Arrival): Piece {
    switch (event.kind) {
      case "started":
        return { kind: "opened", index };
      case "prompt":
      case "tokens":
        return { kind: "text", index, text: event.text, tokens: event.tokens };
      case "finished":
        this.usage.add(index, event.usage);
        return { kind: "closed", index, reason: event.reason };
      case "failed":
        throw problemOfFailure(event.error);
      case "cancelled":
        throw new Problem("unavailable", "The request was cancelled before it ended.");
    }
  }
}
