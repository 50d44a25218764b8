import type { RequestId } from "../../memory/ids.ts";
import type { AdapterRoute, SamplingParams } from "../sampling.ts";
import type { StepFailed, Stepped } from "../executor/protocol.ts";
import type {
  AdapterArrived,
  AdapterResident,
  AdapterUnavailable,
  Planned,
} from "../memory_manager/protocol.ts";

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
  /** Only sequences with the same salt share KV; absent: those without any. */
  readonly cacheSalt?: string;
  /** Tokens that may be made before the first `extend_credit`. */
  readonly credit: number;
}

export type Command =
  | { readonly kind: "submit"; readonly sequence: Sequence }
  /** End a sequence early: its client went away, or a stop string was found. Unknown ids are ignored. */
  | { readonly kind: "cancel"; readonly request: RequestId }
  | { readonly kind: "extend_credit"; readonly request: RequestId; readonly tokens: number }
  | Planned
  | AdapterResident
  | AdapterArrived
  | AdapterUnavailable
  | Stepped
  | StepFailed;
