import type { AdapterId, Epoch, RequestId } from "../../memory/ids.ts";
import type { AdapterShape } from "../../models/adapter_image.ts";
import type { FirstTokenTimes, Output, Shares } from "../batch_former/protocol.ts";
import type { StepSeconds } from "../executor/protocol.ts";
import type { Residency } from "../memory_manager/protocol.ts";
import type { AdapterRoute, SamplingParams } from "../sampling.ts";

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
  /** The choices of one HTTP request: they come in together. */
  | { readonly kind: "generate"; readonly requests: readonly GenerationRequest[] }
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

export interface EngineLimits {
  /** Longest prompt plus output, in tokens. */
  readonly maxModelLen: number;
  /** Longest sequence that the page pool can hold when nothing else is in it, in tokens. */
  readonly poolTokens: number;
  /** Pages of a layer's pool that BLOCK_TOKENS tokens take. */
  readonly pagesPerBlock: number;
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
  readonly arrivingAdapters: number;
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
  /** The stream's text has nothing of it. */
  readonly special?: true;
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
