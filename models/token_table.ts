import { z } from "zod";

const step = z.union([
  z.looseObject({
    type: z.literal("Replace"),
    pattern: z.object({ String: z.string().min(1) }),
    content: z.string(),
  }),
  z.looseObject({ type: z.literal("ByteFallback") }),
  z.looseObject({ type: z.literal("Fuse") }),
  z.looseObject({
    type: z.literal("Strip"),
    content: z.string().length(1),
    start: z.int().nonnegative(),
    stop: z.literal(0),
  }),
]);
const byteLevel = z.looseObject({ type: z.literal("ByteLevel") });
const sequence = z.looseObject({ type: z.literal("Sequence"), decoders: z.array(step) });

/** How ids become text: bytes of all tokens in a row, or text with single bytes as a last resort. */
export type Decoding =
  | { readonly kind: "byte-level" }
  | {
    readonly kind: "byte-fallback";
    readonly replace: readonly (readonly [pattern: string, content: string])[];
    /** At most `count` times `content` is dropped from the start of the whole text. */
    readonly strip: { readonly content: string; readonly count: number };
  };

/** Reads the `decoder` of tokenizer.json, which is at `path`; throws a TypeError for one that cannot be followed exactly. */
export function parseDecoding(decoder: unknown, path: string): Decoding {
  if (byteLevel.safeParse(decoder).success) return { kind: "byte-level" };
  const steps = sequence.safeParse(decoder).data?.decoders ?? [];
  const order = steps.map((each) => each.type).join(" ");
  if (!/^(Replace )*ByteFallback Fuse( Strip)?$/.test(order)) {
    throw new TypeError(
      `Cannot load the tokenizer: ${path}: decoder: expected ByteLevel, or a Sequence of Replace, ` +
        `ByteFallback, Fuse and Strip in this order, received ${
          JSON.stringify(decoder)?.slice(0, 120)
        }`,
    );
  }
  const last = steps.at(-1);
  return {
    kind: "byte-fallback",
    replace: steps.flatMap((each) =>
      each.type === "Replace" ? [[each.pattern.String, each.content] as const] : []
    ),
    strip: last?.type === "Strip"
      ? { content: last.content, count: last.start }
      : { content: "", count: 0 },
  };
}

const BYTE_OF_UNIT = byteOfUnit();
const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

/** What each id stands for. An id without a token (a padded vocabulary's tail) stands for nothing. */
export class TokenTable {
  /** Found once a token: decoding costs more than all else that a stream does with it. */
  readonly #whole = new Map<number, string | null>();

  constructor(
    readonly tokens: readonly (string | undefined)[],
    readonly special: ReadonlySet<number>,
    readonly decoding: Decoding,
  ) {}

  /** The byte of a byte-fallback token `<0x41>`, else null. */
  byte(id: number): number | null {
    const token = this.tokens[id];
    if (this.decoding.kind !== "byte-fallback" || token?.length !== 6) return null;
    return /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? parseInt(token.slice(3, 5), 16) : null;
  }

  /** The text of a byte-fallback tokenizer's token that is not a byte. */
  text(id: number): string {
    let text = this.tokens[id] ?? "";
    if (this.decoding.kind === "byte-fallback") {
      for (const [pattern, content] of this.decoding.replace) {
        text = text.replaceAll(pattern, content);
      }
    }
    return text;
  }

  /** The token's text where its bytes are whole characters, one at least; else null. */
  whole(id: number): string | null {
    let text = this.#whole.get(id);
    if (text === undefined) {
      text = decoded(this.bytes(id)) || null;
      this.#whole.set(id, text);
    }
    return text;
  }

  /** The bytes of a token, special or not; not always whole UTF-8 characters. */
  bytes(id: number): Uint8Array {
    const byte = this.byte(id);
    if (byte !== null) return Uint8Array.of(byte);
    const token = this.tokens[id] ?? "";
    if (this.decoding.kind === "byte-fallback") return encoder.encode(this.text(id));
    const bytes = new Uint8Array(token.length);
    for (let i = 0; i < token.length; i++) {
      const value = BYTE_OF_UNIT[token.charCodeAt(i)] ?? -1;
      // An added token is spelled as it reads, not in the byte alphabet.
      if (value < 0) return encoder.encode(token);
      bytes[i] = value;
    }
    return bytes;
  }
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null; // a part of a character
  }
}

/** GPT-2's byte alphabet: printable Latin-1 is itself, the other bytes follow from U+0100 in order. */
function byteOfUnit(): Int16Array {
  const bytes = new Int16Array(0x144).fill(-1);
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    bytes[printable ? byte : next++] = byte;
  }
  return bytes;
}
