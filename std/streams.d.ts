/** The part of @std/streams that Chorus uses. */
export function toText(stream: ReadableStream<Uint8Array | string>): Promise<string>;
export function toTransformStream<I, O>(
  transformer: (source: ReadableStream<I>) => Iterable<O> | AsyncIterable<O>,
): TransformStream<I, O>;
export class TextLineStream extends TransformStream<string, string> {
  constructor(options?: { allowCR?: boolean });
}
export class TextDelimiterStream extends TransformStream<string, string> {
  constructor(delimiter: string, options?: { disposition?: "discard" | "prefix" | "suffix" });
}
export class LimitedBytesTransformStream
  extends TransformStream<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  constructor(size: number, options?: { error?: boolean });
}
