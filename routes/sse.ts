const HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  // Else nginx keeps the events until a buffer is full.
  "x-accel-buffering": "no",
};
const encoder = new TextEncoder();

/** Where a stream's events come from. */
export interface EventFeed {
  /** What is ready, at least one value unless `done`; waits for it. Must not reject: an error is an event. */
  next(): Promise<{ readonly values: readonly unknown[]; readonly done: boolean }>;
  /** The client went away. */
  cancel(): void;
}

/**
 * The one place that streams. The body pulls from the feed as the client reads, several ready events go out in one
 * write, a disconnect reaches `cancel`, and `data: [DONE]` ends every stream that the client still reads.
 */
export function eventStream(feed: EventFeed): Response {
  let gone = false;
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { values, done } = await feed.next();
      if (gone) return;
      const events = values.map((value) => `data: ${JSON.stringify(value)}\n\n`);
      if (done) events.push("data: [DONE]\n\n");
      controller.enqueue(encoder.encode(events.join("")));
      if (done) controller.close();
    },
    cancel() {
      gone = true;
      feed.cancel();
    },
  }, { highWaterMark: 0 });
  return new Response(body, { headers: HEADERS });
}
