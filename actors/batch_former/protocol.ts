import type { RequestId } from "../../memory/ids.ts";
import type { StepFailed, Stepped } from "../executor/protocol.ts";
import type {
  AdapterArrived,
  AdapterResident,
  AdapterUnavailable,
  Planned,
} from "../memory_manager/protocol.ts";
import type { AdapterRoute, SamplingParams, TokenLogprobs } from "../sampling.ts";

/** Weights of service: a tenant's next to other tenants', an adapter's next to others of its tenant. */
export interface Shares {
  readonly tenant: number;
  readonly adapter: number;
}

/** A sequence to run, as the ledger knows it. After a replay `generated` is not empty. */
export interface Sequence {
  readonly id: RequestId;
  readonly prompt: readonly number[];
  /** Tokens already generated (and delivered) by an earlier engine incarnation. */
  readonly generated: readonly number[];
  readonly adapters: readonly AdapterRoute[];
  readonly sampling: SamplingParams;
  /** Bound on generated tokens, those of earlier incarnations included; >= 1. */
  readonly maxTokens: number;
  /** Tokens that end the sequence (EOS and stop token ids); the ending token is reported. */
  readonly stopTokenIds: readonly number[];
  readonly promptLogprobs: boolean;
  /** Whose it is; absent: nobody's in particular. */
  readonly tenant?: string;
  /** Where shares are kept to; absent: 1 each. */
  readonly shares?: Shares;
  /** Lower goes first, where the policy has classes; absent: 0. */
  readonly priority?: number;
  /** Only sequences with the same salt share KV; absent: those without any. */
  readonly cacheSalt?: string;
  /** Milliseconds since the router took it on, engines that are gone included; absent: just now. */
  readonly waitedMs?: number;
  /** Tokens that may be made before the first `extend_credit`. */
  readonly credit: number;
}

export type Command =
  | { readonly kind: "submit"; readonly sequence: Sequence }
  /** End a sequence early: its client went away, or a stop string was found. Unknown ids are ignored. */
  | { readonly kind: "cancel"; readonly request: RequestId }
  | { readonly kind: "extend_credit"; readonly request: RequestId; readonly tokens: number }
  /** Time has passed: somebody may have waited for too long. */
  | { readonly kind: "tick" }
  | Planned
  | AdapterResident
  | AdapterArrived
  | AdapterUnavailable
  | Stepped
  | StepFailed;

/** What a step made of one sequence. */
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
