import type { AdapterId, PageId, RequestId, SlotId, StepId } from "../../memory/ids.ts";
import type { AdapterImage } from "../../models/adapter_image.ts";
import type { SamplingParams, TokenLogprobs } from "../sampling.ts";

export type Command =
  /** A sequence takes a slot; everything that stays the same for its life. */
  | {
    readonly kind: "open";
    readonly slot: SlotId;
    readonly request: RequestId;
    readonly sampling: SamplingParams;
    readonly routes: readonly Route[];
    /** Tokens that penalties count: the prompt, and what was generated before (replay, preemption). */
    readonly prompt: readonly number[];
    readonly generated: readonly number[];
  }
  | { readonly kind: "close"; readonly slot: SlotId }
  /**
   * Copy an adapter into these pages of every layer's pool (and of the head pool), in slices between steps;
   * `uploaded` follows, and only then may a step use it.
   */
  | {
    readonly kind: "upload";
    readonly adapter: AdapterId;
    readonly image: AdapterImage;
    readonly layerPages: readonly PageId[];
    readonly headPages: readonly PageId[];
  }
  | { readonly kind: "step"; readonly step: StepId; readonly rows: readonly Row[] };

/** Where a resident adapter begins: its first page in the layers' pool and in the head pool. */
export interface ResidentAdapter {
  readonly adapter: AdapterId;
  readonly layerPage: PageId | null;
  readonly headPage: PageId | null;
  /** Highest rank of [q, k, v, o, gate, up, down] over the layers; 0 where not adapted. */
  readonly moduleRanks: readonly number[];
  readonly headRanks: readonly number[];
}

export interface Route extends ResidentAdapter {
  readonly weight: number;
}

/** One sequence's part of a step: its tokens from `position` on. */
export interface Row {
  readonly slot: SlotId;
  /** null: one token, the one sampled last in this slot, which never left the GPU. */
  readonly tokens: readonly number[] | null;
  /** Position of the first token; KV of all earlier ones is in place. */
  readonly position: number;
  /** Pages to append to the slot's block table before the step. */
  readonly newPages: readonly PageId[];
  /** Sample after the last token (false for a prefill chunk that is not the last). */
  readonly sample: boolean;
  /** Logprobs of these following prompt tokens are wanted: one a token of this row, null for none. */
  readonly promptTargets: readonly (number | null)[] | null;
}

/** The last slice of an upload is with the GPU, ahead of every step that is sent from now on. */
export type Uploaded = {
  readonly kind: "uploaded";
  readonly adapter: AdapterId;
  readonly bytes: number;
  /** Time that its slices took the executor's thread. */
  readonly seconds: number;
};

export type Stepped = {
  readonly kind: "stepped";
  readonly step: StepId;
  readonly rows: readonly SteppedRow[];
  readonly seconds?: StepSeconds;
};

export interface SteppedRow {
  readonly slot: SlotId;
  /** null where none was asked for, or where no logit is finite: what sampled it cannot go on. */
  readonly token: number | null;
  readonly logprobs: TokenLogprobs | null;
  readonly promptLogprobs: readonly TokenLogprobs[];
}

/** Where the time of a step went. */
export interface StepSeconds {
  /** Tables, upload and encoding, on the host, while the step before runs. */
  readonly encode: number;
  /** From the submit until the GPU is done and its results are on the host. */
  readonly gpu: number;
  /** Sorting the results. */
  readonly read: number;
}

/** The step did not run or its results cannot be trusted; the engine must restart. */
export type StepFailed = {
  readonly kind: "step_failed";
  readonly step: StepId;
  readonly error: string;
};

export type Event =
  | {
    readonly kind: "executor_ready";
    readonly provider: "builtin" | "dawn";
    readonly device: string;
    /** A software adapter: correct, but slow. */
    readonly software: boolean;
    readonly layerPages: number;
    readonly headPages: number;
    readonly pagesPerBlock: number;
    readonly maxModelLen: number;
    readonly maxLogitRows: number;
  }
  | {
    readonly kind: "progress";
    readonly label: string;
    readonly done: number;
    readonly total: number;
    readonly unit: "bytes" | "pipelines";
  }
  | { readonly kind: "start_failed"; readonly error: string }
  | Uploaded
  | Stepped
  | StepFailed;
