/** One streamed completion to ask for: greedy, and as long as it says, whatever the model would end it with. */
export interface Completion {
  readonly model: string;
  readonly prompt: readonly number[];
  readonly maxTokens: number;
  /** Ask for `adapterMs`, which not every server knows. */
  readonly timings?: boolean;
}

/** How a completion ended. */
export interface CompletionEnd {
  /** 0 where there was no answer. */
  readonly status: number;
  /** null: it is complete. */
  readonly error: string | null;
  /** By the server's own count. */
  readonly completionTokens: number;
  /** Of the time to the first token, in milliseconds: what waited for the adapter, by the server's own clock. */
  readonly adapterMs?: number;
}

interface Chunk {
  readonly choices?: readonly { readonly text: string; readonly finish_reason: string | null }[];
  readonly usage?: {
    readonly completion_tokens: number;
    readonly timings?: { readonly adapter_ms: number };
  } | null;
  readonly error?: { readonly message: string };
}

/**
 * Asks `url`'s /v1/completions and calls `see` at each event that carries text, one a token where the token has a
 * text of its own; several may come in one read. Never rejects.
 */
export async function streamCompletion(
  url: string,
  { model, prompt, maxTokens, timings = false }: Completion,
  see: () => void,
  options: { readonly apiKey?: string | undefined; readonly signal?: AbortSignal } = {},
): Promise<CompletionEnd> {
  const { apiKey, signal } = options;
  let status = 0;
  let completionTokens = 0;
  let adapterMs: number | undefined;
  try {
    const response = await fetch(`${url}/v1/completions`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      },
      body: JSON.stringify({
        model,
        prompt,
        max_tokens: maxTokens,
        temperature: 0,
        ignore_eos: true,
        stream: true,
        stream_options: { include_usage: true },
        ...(timings && { include_timings: true }),
      }),
      ...(signal && { signal }),
    });
    status = response.status;
    if (!response.ok || !response.body) {
      return { status, error: await response.text(), completionTokens };
    }
    let finished = false;
    for await (const data of sseData(response.body)) {
      if (data === "[DONE]") break;
      const { choices, usage, error } = JSON.parse(data) as Chunk;
      if (error) return { status, error: error.message, completionTokens };
      if (usage) completionTokens = usage.completion_tokens;
      adapterMs ??= usage?.timings?.adapter_ms;
      for (const { text, finish_reason } of choices ?? []) {
        if (text !== "") see();
        finished ||= finish_reason !== null;
      }
    }
    return {
      status,
      error: finished ? null : "the stream ended early",
      completionTokens,
      ...(adapterMs !== undefined && { adapterMs }),
    };
  } catch (error) {
    return { status, error: String(error), completionTokens };
  }
}

/** The data of each server-sent event, however the bytes were cut on the way. */
async function* sseData(body: ReadableStream<Uint8Array>): AsyncGenerator<string, void, void> {
  const decoder = new TextDecoder();
  let held = "";
  for await (const bytes of body) {
    const events = (held + decoder.decode(bytes, { stream: true })).split("\n\n");
    held = events.pop() ?? "";
    for (const event of events) if (event.startsWith("data: ")) yield event.slice(6);
  }
}
