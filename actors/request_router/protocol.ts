import type { AdapterId, Epoch, RequestId } from "../../memory/ids.ts";
import type { AdapterShape } from "../../models/adapter_image.ts";
import type { Residency } from "../memory_manager/protocol.ts";
import type { Shares } from "../batch_former/protocol.ts";
import type { AdapterRoute, SamplingParams, TokenLogprobs } from "../sampling.ts";

/** What a client asked for, already validated; text is tokenised by the router. */
export interface GenerationRequest {
  readonly id: RequestId;
  readonly prompt: Prompt;
  readonly adapters: readonly AdapterRoute[];
  readonly sampling: SamplingParams;
  /** null: up to the model's length; 0 with `echo`: nothing but the prompt. */
  readonly maxTokens: number | null;
  /** Texts that end the generation; they are not part of the output. */
  readonly stop: readonly string[];
  readonly stopTokenIds: readonly number[];
  readonly ignoreEos: boolean;
  /** Report the prompt's own tokens too, with logprobs where sampling asks for them (OpenAI's echo). */
  readonly echo: boolean;
  /** Whose it is; absent: nobody's in particular. */
  readonly tenant?: string;
  /** Where shares are kept to; absent: 1 each. */
  readonly shares?: Shares;
  /** Lower goes first, where the policy has classes; absent: 0. */
  readonly priority?: number;
  /** Only requests with the same salt share KV; absent: those without any. */
  readonly cacheSalt?: string;
}

export type Prompt =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "tokens"; readonly tokens: readonly number[] }
  | { readonly kind: "chat"; readonly messages: readonly ChatMessage[] };

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
  readonly name?: string;
}

/** From the routes. */
export type ClientCommand =
  | { readonly kind: "generate"; readonly request: GenerationRequest }
  /** The client went away. */
  | { readonly kind: "cancel"; readonly request: RequestId }
  /** The client took `tokens` token events: that many more may be made. */
  | { readonly kind: "consumed"; readonly request: RequestId; readonly tokens: number };

/** From the engine process; `epoch` tells incarnations apart. */
export type EngineEvent =
  | { readonly kind: "engine_ready"; readonly epoch: Epoch; readonly limits: EngineLimits }
  /** The engine cannot start at all with these options: trying again will not help. */
  | { readonly kind: "start_failed"; readonly epoch: Epoch; readonly error: string }
  | {
    readonly kind: "progress";
    readonly epoch: Epoch;
    readonly label: string;
    readonly done: number;
    readonly total: number;
    readonly unit: "bytes" | "pipelines";
  }
  | { readonly kind: "engine_lost"; readonly epoch: Epoch; readonly reason: string }
  | {
    readonly kind: "adapter_registered";
    readonly epoch: Epoch;
    readonly adapter: AdapterId;
    readonly rank: number;
    readonly bytes: number;
    /** For a later engine, which then need not read the files again to know it. */
    readonly shape?: AdapterShape;
  }
  | {
    readonly kind: "adapter_rejected";
    readonly epoch: Epoch;
    readonly adapter: AdapterId;
    readonly error: string;
    /** The files could not be read, and may be the next time. */
    readonly passing?: true;
  }
  /** The answer to `pin`: why it cannot be, or null. */
  | {
    readonly kind: "adapter_pinned";
    readonly epoch: Epoch;
    readonly adapter: AdapterId;
    readonly error: string | null;
  }
  | { readonly kind: "adapters_listed"; readonly epoch: Epoch; readonly places: AdapterPlaces }
  /** Everything one step produced, one entry a request. */
  | { readonly kind: "progressed"; readonly epoch: Epoch; readonly outputs: readonly Output[] }
  | { readonly kind: "load_changed"; readonly epoch: Epoch; readonly load: EngineLoad }
  /** Answer to the front's ping. */
  | { readonly kind: "pong"; readonly epoch: Epoch; readonly sequence: number };

/** Where adapters are, of those that are not only on disk. */
export interface AdapterPlaces {
  readonly host: readonly AdapterId[];
  /** On the GPU, or on their way there. */
  readonly gpu: readonly AdapterId[];
}

export interface Output {
  readonly request: RequestId;
  readonly tokens: readonly OutputToken[];
  /** Prompt logprobs that became known (echo), in order; null for the first prompt token. */
  readonly promptLogprobs: readonly (TokenLogprobs | null)[];
  readonly end: OutputEnd | null;
  /** With a sequence's first token. */
  readonly times?: FirstTokenTimes;
  /** With the first output of a sequence: prompt tokens whose KV was found and not computed. */
  readonly cachedTokens?: number;
}

/** What the time from submission to the first token went into, in the engine; recomputing after a preemption counts as prefill. */
export interface FirstTokenTimes {
  /** For a place in the batch, or for pages. */
  readonly queueMs: number;
  /** For the adapter: from disk, and its upload. */
  readonly adapterMs: number;
  /** From the first row of a step to the first token. */
  readonly prefillMs: number;
}

export interface OutputToken {
  readonly token: number;
  readonly logprobs: TokenLogprobs | null;
}

export type OutputEnd =
  | { readonly kind: "finished"; readonly reason: "stop" | "length" }
  | { readonly kind: "failed"; readonly error: string }
  /** Given up before it began, for there was no room in time: it may come again. */
  | { readonly kind: "shed"; readonly error: string };

export interface EngineLimits {
  /** Longest prompt plus output, in tokens. */
  readonly maxModelLen: number;
  /** Longest sequence that the page pool can hold when nothing else is in it, in tokens. */
  readonly poolTokens: number;
  readonly device: string;
  /** A software adapter: correct, but slow. */
  readonly software: boolean;
  readonly provider: "builtin" | "dawn";
}

export interface EngineLoad {
  readonly running: number;
  readonly waiting: number;
  readonly pages: number;
  readonly freePages: number;
  readonly kvPages: number;
  readonly cachedPages: number;
  readonly adapterPages: number;
  readonly residentAdapters: readonly AdapterId[];
  readonly residency: Residency;
  readonly preemptions: number;
  /** Sequences given up before they began. */
  readonly sheds: number;
  readonly steps: number;
  /** Prompt tokens of the sequences that began to run, and those of them found in the prefix cache. */
  readonly prefixQueries: number;
  readonly prefixHits: number;
  /** Where the time of all steps went; absent: not measured. */
  readonly stepSeconds?: StepSeconds;
}

export interface StepSeconds {
  /** Tables, upload and encoding, on the host, while the step before runs. */
  readonly encode: number;
  /** From the submit until the GPU is done and its results are on the host. */
  readonly gpu: number;
  /** Sorting the results. */
  readonly read: number;
}

/** What the router answers a stream's reader; exactly one of the last three ends each request. */
export type StreamEvent =
  | { readonly kind: "started"; readonly promptTokens: readonly number[] }
  /** The echo: the prompt as it was given, or the text of its tokens without special ones. */
  | { readonly kind: "prompt"; readonly text: string; readonly tokens: readonly StreamToken[] }
  /** `tokens` are those just made; `text` may lag behind them, or (at the end) come alone. */
  | { readonly kind: "tokens"; readonly text: string; readonly tokens: readonly StreamToken[] }
  | {
    readonly kind: "finished";
    readonly reason: "stop" | "length";
    readonly usage: Usage;
  }
  | { readonly kind: "failed"; readonly error: RequestFailure }
  | { readonly kind: "cancelled" };

export interface StreamToken {
  readonly token: number;
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprobs: StreamLogprobs | null;
}

export interface StreamLogprobs {
  readonly logprob: number;
  readonly top: readonly {
    readonly token: number;
    readonly text: string;
    readonly bytes: readonly number[];
    readonly logprob: number;
  }[];
}

export interface Usage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  /** Absent where it was not measured. */
  readonly times?: FirstTokenTimes;
  /** Prompt tokens whose KV was there already; absent: none. */
  readonly cachedTokens?: number;
}

/** `invalid` and `too_long` are the client's fault (HTTP 400), `unavailable` ours for now (503), `internal` a bug (500). */
export interface RequestFailure {
  readonly kind: "invalid" | "too_long" | "unavailable" | "internal";
  readonly message: string;
  /** The request field at fault, where there is one. */
  readonly param: string | null;
}
