/**
 * How messages lie on a byte stream: four bytes, big-endian, hold the kind (top two bits) and the length
 * of what follows, which is UTF-8 JSON: a message, or for the other kinds the reason as a string or null.
 */
export type FrameKind = "message" | "close" | "hang_up";

export interface Frame {
  readonly kind: FrameKind;
  readonly body: unknown;
}

/** A longer frame is taken for a broken stream, not for a message. */
export const MAX_FRAME_BYTES = 64 * 2 ** 20;

const KINDS: readonly FrameKind[] = ["message", "close", "hang_up"];
const HEADER_BYTES = 4;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** Bytes of one frame. Throws TypeError for what JSON cannot say, RangeError for what is too long. */
export function encodeFrame(kind: FrameKind, body: unknown): Uint8Array {
  const json: string | undefined = JSON.stringify(body);
  if (json === undefined) {
    throw new TypeError(`Cannot encode frame: expected plain data, received ${typeof body}`);
  }
  const text = encoder.encode(json);
  if (text.length > MAX_FRAME_BYTES) {
    throw new RangeError(
      `Cannot encode frame: expected at most ${MAX_FRAME_BYTES} bytes, received ${text.length}`,
    );
  }
  const frame = new Uint8Array(HEADER_BYTES + text.length);
  new DataView(frame.buffer).setUint32(0, KINDS.indexOf(kind) * 2 ** 30 + text.length);
  frame.set(text, HEADER_BYTES);
  return frame;
}

/** Cuts a byte stream into frames, however it arrives in pieces. */
export class FrameDecoder {
  #held = new Uint8Array(0);

  /** Bytes of a frame that has begun and not ended. */
  get pendingBytes(): number {
    return this.#held.length;
  }

  /** The frames that `chunk` completes. Throws RangeError or SyntaxError where the stream is broken. */
  *push(chunk: Uint8Array): Generator<Frame, void, void> {
    const bytes = join(this.#held, chunk);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const header = view.getUint32(at);
      const length = header % 2 ** 30;
      const kind = KINDS[Math.floor(header / 2 ** 30)];
      if (kind === undefined || length > MAX_FRAME_BYTES) {
        throw new RangeError(
          `Cannot read frame: expected a kind below ${KINDS.length} and at most ${MAX_FRAME_BYTES} bytes, received header ${header}`,
        );
      }
      if (bytes.length - at < HEADER_BYTES + length) break;
      at += HEADER_BYTES;
      yield { kind, body: parse(bytes.subarray(at, at + length)) };
      at += length;
    }
    this.#held = bytes.slice(at);
  }
}

function join(held: Uint8Array, chunk: Uint8Array): Uint8Array {
  if (held.length === 0) return chunk;
  const bytes = new Uint8Array(held.length + chunk.length);
  bytes.set(held);
  bytes.set(chunk, held.length);
  return bytes;
}

function parse(bytes: Uint8Array): unknown {
  let text = "";
  try {
    text = decoder.decode(bytes);
    return JSON.parse(text);
  } catch (cause) {
    const shown = JSON.stringify(text.slice(0, 80));
    throw new SyntaxError(`Cannot read frame: expected UTF-8 JSON, received ${shown}`, { cause });
  }
}
