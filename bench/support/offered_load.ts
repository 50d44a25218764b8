import { streamCompletion } from "./completion_stream.ts";
import type { TraceRequest } from "./trace.ts";

/** What became of one request; times in seconds. */
export interface LoadRecord {
  readonly adapter: number | null;
  /** Since the start of the run: when it was due, and when its answer ended. */
  readonly due: number;
  readonly ended: number;
  /** From when it was due to its first token; null where none came. */
  readonly firstToken: number | null;
  /** Between the events that carried its tokens. */
  readonly gaps: readonly number[];
  readonly promptTokens: number;
  /** By the server's count; of the events where it ended early. */
  readonly outputTokens: number;
  readonly status: number;
  readonly error: string | null;
}

/** Where requests go, and what they ask for. */
export interface LoadTarget {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly model: (adapter: number | null) => string;
  /** Prompts are ids below this. */
  readonly vocabSize: number;
  /** Seconds after which what still runs is given up. */
  readonly limit: number;
}

/** A run: its records, and when each token came (seconds since its start). */
export interface LoadRun {
  readonly records: readonly LoadRecord[];
  readonly tokenTimes: readonly number[];
  /** Until the last request ended. */
  readonly seconds: number;
}

/** Every request at its time, whatever became of the ones before. */
export async function openLoop(
  trace: readonly TraceRequest[],
  target: LoadTarget,
): Promise<LoadRun> {
  const run = new Run(target);
  await Promise.all(trace.map(async (request, i) => {
    await run.until(request.at);
    await run.send(request, i, request.at);
  }));
  return run.end();
}

/** `concurrency` clients, each with one request after another out of `requests`, begun until `seconds` are over. */
export async function closedLoop(
  requests: readonly TraceRequest[],
  { concurrency, seconds }: { readonly concurrency: number; readonly seconds: number },
  target: LoadTarget,
): Promise<LoadRun> {
  const run = new Run(target);
  let next = 0;
  await Promise.all(Array.from({ length: concurrency }, async () => {
    while (run.now < seconds) {
      const i = next++;
      const request = requests[i % requests.length];
      if (request) await run.send(request, i, run.now);
    }
  }));
  return run.end();
}

class Run {
  readonly #target: LoadTarget;
  readonly #start = performance.now();
  readonly #records: LoadRecord[] = [];
  readonly #tokenTimes: number[] = [];
  readonly #over = new AbortController();
  readonly #timer: ReturnType<typeof setTimeout>;

  constructor(target: LoadTarget) {
    this.#target = target;
    this.#timer = setTimeout(() => this.#over.abort(), target.limit * 1000);
  }

  get now(): number {
    return (performance.now() - this.#start) / 1000;
  }

  async until(at: number): Promise<void> {
    const wait = at - this.now;
    if (wait > 0) await new Promise((resolve) => setTimeout(resolve, wait * 1000));
  }

  async send(request: TraceRequest, i: number, due: number): Promise<void> {
    const { url, apiKey, model, vocabSize } = this.#target;
    const { adapter, promptTokens, outputTokens: maxTokens } = request;
    let firstToken: number | null = null;
    let last = 0;
    const gaps: number[] = [];
    const end = this.#over.signal.aborted ? GIVEN_UP : await streamCompletion(
      url,
      { model: model(adapter), prompt: promptOf(i, promptTokens, vocabSize), maxTokens },
      () => {
        const now = this.now;
        if (firstToken === null) firstToken = now - due;
        else gaps.push(now - last);
        last = now;
        this.#tokenTimes.push(now);
      },
      { apiKey, signal: this.#over.signal },
    );
    this.#records.push({
      adapter,
      due,
      ended: this.now,
      firstToken,
      gaps,
      promptTokens,
      outputTokens: end.completionTokens || (firstToken === null ? 0 : 1 + gaps.length),
      status: end.status,
      error: end.error !== null && this.#over.signal.aborted ? "given up at the limit" : end.error,
    });
  }

  end(): LoadRun {
    clearTimeout(this.#timer);
    const seconds = Math.max(0, ...this.#records.map(({ ended }) => ended));
    return { records: this.#records, tokenTimes: this.#tokenTimes, seconds };
  }
}

const GIVEN_UP = { status: 0, error: "not begun", completionTokens: 0 };

/** Ids that no other request begins with, so that no cached prefix helps. */
function promptOf(i: number, length: number, vocabSize: number): number[] {
  return Array.from(
    { length },
    (_, k) => ((i + 1) * 7919 + (k + i % 13 + 1) * 104_729) % vocabSize,
  );
}
