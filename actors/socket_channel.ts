import { setImmediate } from "node:timers/promises";
import { Channel, type Link } from "./channel.ts";
import { encodeFrame, FrameDecoder } from "./frames.ts";

/** The peer vanished without a word: it was killed, or what lies between is gone. */
export class ConnectionLostError extends Error {
  override readonly name = "ConnectionLostError";
}

/** A link whose other end is another process. */
export interface SocketLink<Out, In> extends Link<Out, In> {
  /** Resolves when the connection is closed at this end, all that was sent having left where it could. */
  readonly ended: Promise<void>;
}

const READ_BYTES = 64 * 1024;
/** Messages that are ready together leave in one write, up to about this much. */
const WRITE_BYTES = 64 * 1024;

/**
 * A link over a stream socket. `capacity` bounds the messages that wait to be written, and those that wait
 * to be received; between the two lies what the kernel buffers.
 */
export function openSocket<Out, In>(
  conn: Deno.Conn,
  options: { readonly capacity: number },
): SocketLink<Out, In> {
  const outbox = new Channel<Uint8Array>(options);
  const inbox = new Channel<In>(options);
  let farewell: Uint8Array | null = null;
  let closing = false;

  const cut = (reason?: Error) => {
    outbox.close(reason);
    inbox.close(reason);
    try {
      conn.close();
    } catch {
      // It was closed before.
    }
  };
  const finish = (kind: "close" | "hang_up", reason?: Error) => {
    farewell ??= encodeFrame(kind, reason?.message ?? null);
    outbox.close();
  };
  const writing = write(conn, outbox).then(async () => {
    if (farewell) await writeAll(conn, farewell);
  }).catch((cause) => outbox.close(lost("write", cause))); // reading finds out what the peer said last
  const reading = read(conn, inbox).catch((reason) => closing || cut(reason));
  const ended = Promise.all([writing, reading]).then(() => cut());
  return {
    sender: {
      send: async (message) => await outbox.send(encodeFrame("message", message)),
      trySend: (message) => outbox.trySend(encodeFrame("message", message)),
      close: (reason) => finish("close", reason),
    },
    receiver: inbox,
    close: (reason) => {
      closing = true; // so that a message for the closed inbox does not stop the last write
      finish("hang_up", reason);
      inbox.close(reason);
      writing.then(() => cut());
    },
    ended,
  };
}

async function write(conn: Deno.Conn, outbox: Channel<Uint8Array>): Promise<void> {
  for await (const first of outbox) {
    const frames = [first];
    let length = first.length;
    while (length < WRITE_BYTES) {
      const next = outbox.tryReceive();
      if (next.state !== "ok") break;
      frames.push(next.value);
      length += next.value.length;
    }
    await writeAll(conn, frames.length === 1 ? first : concat(frames, length));
  }
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
}

function concat(frames: readonly Uint8Array[], length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const frame of frames) {
    bytes.set(frame, at);
    at += frame.length;
  }
  return bytes;
}

/** Fills the inbox until the peer says farewell; a full inbox stops the reading, and so the peer. */
async function read<In>(conn: Deno.Conn, inbox: Channel<In>): Promise<void> {
  const decoder = new FrameDecoder();
  const buffer = new Uint8Array(READ_BYTES);
  while (!inbox.closed) {
    const count = await conn.read(buffer).catch((cause) => {
      throw lost("read", cause);
    });
    if (count === null) {
      throw lost("read", `it ended with ${decoder.pendingBytes} bytes of a frame`);
    }
    for (const { kind, body } of decoder.push(buffer.subarray(0, count))) {
      if (kind === "message") {
        await inbox.send(body as In);
        // A peer that always has more to say never lets a read wait: timers and other connections need a turn too.
        await setImmediate();
      } else {
        const reason = typeof body === "string" ? new Error(body) : undefined;
        inbox.close(reason);
        if (kind === "hang_up") throw reason;
        return;
      }
    }
  }
}

const lost = (action: string, cause: unknown) =>
  new ConnectionLostError(
    `Cannot ${action}: the connection is lost (${cause instanceof Error ? cause.message : cause})`,
    { cause },
  );
