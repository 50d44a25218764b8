import type { Epoch, RequestId } from "../../memory/ids.ts";
import type { FirstTokenTimes, Output } from "../batch_former/protocol.ts";
import type { EngineCommand } from "../engine_protocol.ts";
import type { TokenLogprobs } from "../sampling.ts";
import { admission } from "./admission.ts";
import { Ledger } from "./ledger.ts";
import type { EngineStatus, RouterMessage, RouterOptions, RouterOutputs } from "./ports.ts";
import { broken, type Encoding } from "./prompt_encoder.ts";
import type {
  EngineLimits,
  GenerationRequest,
  Prompt,
  RequestFailure,
  StreamEvent,
} from "./protocol.ts";
import { promptTokens, TextStream } from "./text_stream.ts";

interface Stream {
  readonly request: GenerationRequest;
  readonly text: TextStream;
  prompt: readonly number[];
  /** Prompt logprobs so far, until the echo is out; null where none are awaited. */
  echo: (TokenLogprobs | null)[] | null;
  /** null until the first token. */
  times: FirstTokenTimes | null;
  /** What the first engine that ran it found computed; null until it says so. */
  cached: number | null;
  /** Its reader was told that it has started. */
  started: boolean;
}

/** What is true of all requests: each message changes the ledger and says what follows from it. */
export class RouterCore {
  readonly #options: RouterOptions;
  readonly #outputs: RouterOutputs;
  readonly #ledger: Ledger;
  readonly #streams = new Map<RequestId, Stream>();
  #status: EngineStatus = { phase: "starting", limits: null, reason: null };

  constructor(options: RouterOptions, outputs: RouterOutputs) {
    this.#options = options;
    this.#outputs = outputs;
    this.#ledger = new Ledger(options);
    outputs.status(this.#status);
  }

  handle(message: RouterMessage): void {
    switch (message.kind) {
      case "generate":
        for (const request of message.requests) this.#generate(request);
        return;
      case "encoded":
        return this.#encoded(message.request, message.encoding);
      case "cancel":
        return this.#end(message.request, { kind: "cancelled" });
      case "consumed":
        return this.#consumed(message.request, message.tokens);
      case "progressed":
        for (const output of message.outputs) this.#progressed(message.epoch, output);
        return;
      case "engine_ready":
        return this.#ready(message.epoch, message.limits);
      case "engine_lost":
        return this.#lost(message.epoch, message.reason);
      case "start_failed":
        this.#report({ phase: "failed", reason: message.error });
        return this.failAll(message.error);
      default:
        message satisfies never;
    }
  }

  /** Ends everything, because nothing can run any more. */
  failAll(reason: string): void {
    for (const id of this.#ledger.ids()) this.#fail(id, "unavailable", reason);
  }

  checkIntegrity(): void {
    this.#ledger.checkIntegrity();
    if (this.#streams.size !== this.#ledger.size) {
      throw new Error(`Cannot trust the router: ${this.#streams.size} streams are open`);
    }
  }

  #generate(request: GenerationRequest): void {
    this.#ledger.admit(request.id);
    const continues = request.prompt.kind !== "chat";
    let text: TextStream;
    try {
      text = new TextStream(this.#options.vocabulary, { stop: request.stop, continues });
    } catch (error) {
      // What one request asks for must end no other.
      return this.#fail(request.id, "internal", String(error));
    }
    const fresh = { prompt: [], echo: null, times: null, cached: null, started: false };
    this.#streams.set(request.id, { request, text, ...fresh });
    const encoding = this.#encode(request.prompt);
    if (!(encoding instanceof Promise)) return this.#encoded(request.id, encoding);
    encoding.catch(broken).then((encoding) =>
      this.#outputs.later({ kind: "encoded", request: request.id, encoding })
    );
  }

  #encode(prompt: Prompt): Encoding | Promise<Encoding> {
    try {
      return this.#options.prompts.encode(prompt);
    } catch (error) {
      return broken(error);
    }
  }

  #encoded(id: RequestId, encoding: Encoding): void {
    const stream = this.#streams.get(id);
    if (!stream) return;
    if (encoding.kind === "refused") return this.#end(id, failed(encoding.failure));
    const { phase, limits, reason } = this.#status;
    if (!limits || phase === "failed") {
      return this.#fail(id, "unavailable", reason ?? "the engine is still starting");
    }
    const { request } = stream;
    const { adapterPages = () => 0 } = this.#options;
    const admitted = admission(request, encoding.tokens, {
      ...this.#options,
      limits,
      adapterPages: adapterPages(request.adapters.map(({ adapter }) => adapter)),
    });
    if (admitted.kind === "refused") return this.#end(id, failed(admitted.failure));
    stream.prompt = encoding.tokens;
    const sequence = this.#ledger.prepare(admitted.plan);
    if (sequence) this.#command({ kind: "submit", sequence });
    if (admitted.plan.promptLogprobs) stream.echo = [];
    if (!this.#options.lateStart) this.#start(stream);
  }

  /** Says that the request runs; false where nobody reads any more. */
  #start(stream: Stream): boolean {
    if (stream.started) return true;
    stream.started = true;
    const { request, prompt } = stream;
    if (!this.#emit(request.id, { kind: "started", promptTokens: prompt })) return false;
    if (stream.echo === null && request.echo) this.#echo(stream, null);
    return true;
  }

  #consumed(id: RequestId, taken: number): void {
    const tokens = this.#ledger.consume(id, taken);
    if (tokens !== null) this.#command({ kind: "extend_credit", request: id, tokens });
  }

  #ready(epoch: Epoch, limits: EngineLimits): void {
    const sequences = this.#ledger.replay(epoch);
    if (this.#ledger.epoch !== epoch) return;
    for (const sequence of sequences) this.#command({ kind: "submit", sequence });
    this.#report({ phase: "ready", limits, reason: null });
  }

  #lost(epoch: Epoch, reason: string): void {
    if (this.#ledger.epoch !== null && this.#ledger.epoch !== epoch) return;
    this.#ledger.engineLost(epoch);
    // An engine that said it cannot start has ended now: nothing will come after it.
    if (this.#status.phase === "failed") return;
    this.#report({ phase: this.#status.limits ? "recovering" : "starting", reason });
  }

  #progressed(epoch: Epoch, made: Output): void {
    const id = made.request;
    const progress = this.#ledger.progress(epoch, made);
    const stream = this.#streams.get(id);
    if (progress.kind === "stale" || !stream) return;
    if (progress.kind === "violation") {
      return this.#fail(id, "internal", `the engine broke the protocol: ${progress.error}`);
    }
    const { promptLogprobs, times, cachedTokens } = progress.output;
    const { tokens, end } = stream.request.maxTokens === 0
      ? promptAlone(progress.output)
      : progress.output;
    const begins = end === null || end.kind === "finished";
    if (begins && !this.#start(stream)) return;
    stream.times ??= times ?? null;
    stream.cached ??= cachedTokens ?? null;
    if (stream.echo) {
      for (const known of promptLogprobs) stream.echo.push(known);
      if (stream.echo.length === stream.prompt.length) this.#echo(stream, stream.echo);
    }
    const piece = stream.text.push(tokens, end);
    if (piece.text !== "" || piece.tokens.length > 0) {
      const event: StreamEvent = { kind: "tokens", text: piece.text, tokens: piece.tokens };
      if (!this.#emit(id, event)) return;
    }
    if (end?.kind === "failed") return this.#fail(id, "internal", end.error, true);
    if (end?.kind === "shed") return this.#fail(id, "unavailable", end.error, true);
    if (piece.reason === null) return;
    const usage = {
      promptTokens: stream.prompt.length,
      completionTokens: stream.text.completionTokens,
      ...(stream.times && { times: stream.times }),
      ...(stream.cached && { cachedTokens: stream.cached }),
    };
    this.#end(id, { kind: "finished", reason: piece.reason, usage }, end !== null);
  }

  #echo(stream: Stream, logprobs: readonly (TokenLogprobs | null)[] | null): void {
    stream.echo = null;
    const { request, prompt } = stream;
    const { vocabulary } = this.#options;
    const given = request.prompt.kind === "text" ? request.prompt.text : vocabulary.decode(prompt);
    const tokens = promptTokens(vocabulary, prompt, logprobs);
    this.#emit(request.id, { kind: "prompt", text: given, tokens });
  }

  #fail(id: RequestId, kind: RequestFailure["kind"], why: string, engineKnows = false): void {
    const message = `Cannot finish the request: ${why}`;
    this.#end(id, failed({ kind, message, param: null }), engineKnows);
  }

  /** The one place where a request ends. */
  #end(id: RequestId, event: StreamEvent, engineKnows = false): void {
    const { ended, wasRunning } = this.#ledger.end(id);
    if (!ended) return;
    this.#streams.delete(id);
    if (wasRunning && !engineKnows) this.#command({ kind: "cancel", request: id });
    this.#outputs.emit(id, event);
  }

  /** False where the reader is gone, and the request has been ended for that. */
  #emit(id: RequestId, event: StreamEvent): boolean {
    if (this.#outputs.emit(id, event)) return true;
    this.#end(id, { kind: "cancelled" });
    return false;
  }

  #command(command: EngineCommand): void {
    if (this.#ledger.epoch !== null) this.#outputs.command(this.#ledger.epoch, command);
  }

  #report(changes: Partial<EngineStatus>): void {
    this.#status = { ...this.#status, ...changes };
    this.#outputs.status(this.#status);
  }
}

const failed = (error: RequestFailure): StreamEvent => ({ kind: "failed", error });

/** What an output says to who asked for no token. */
const promptAlone = ({ end }: Output): Pick<Output, "tokens" | "end"> => ({
  tokens: [],
  end: end?.kind === "finished" ? { ...end, reason: "length" } : end,
});
