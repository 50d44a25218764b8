import { MAX_GROUP, MAX_HEAD_DIM } from "../../kernels/attention_decode/attention_decode.ts";
import { SAMPLE_WORDS, STEP_HEADER_WORDS } from "../../kernels/step_words.ts";
import { LAYER_MODULES, type ModelConfig } from "../../models/model_config.ts";
import { BLOCK_TOKENS, MAX_RANK } from "../../models/adapter_image.ts";
import type { EngineOptions } from "../engine_options.ts";
import { MAX_LOGIT_BIAS } from "../sampling.ts";
import { SHRINK_RANKS, SHRINK_TOKENS } from "./shrink_work.ts";
import { DECODE_WORKGROUPS } from "./step_plan.ts";

/** Bounds of one step, fixed for the life of an executor. */
export interface StepBounds {
  readonly maxTokens: number;
  readonly maxLogitRows: number;
  readonly maxSlots: number;
  /** Routing entries a token (adapters mixed in one request). */
  readonly maxRoutes: number;
  /** Longest sequence in tokens. */
  readonly maxModelLen: number;
  /** Words that the tables of any step within these bounds fit into. */
  readonly stepWords: number;
  readonly decodeItems: number;
}

/** Longest sequence where neither the operator nor a smaller model says so. */
const DEFAULT_MODEL_LEN = 8192;
const LEAST_LOGIT_ROWS = 64;
/** Workgroups along a dimension of a dispatch, which every WebGPU device has. */
const MAX_WORKGROUPS = 65535;
/** Sequences of a step, whose pieces for decode attention must not be more than that. */
const MAX_RUNNING = MAX_WORKGROUPS - DECODE_WORKGROUPS;
/** A shrink entry has four bits for the route of a token. */
const MAX_ROUTES = 16;

/**
 * Bounds of a step that follow from the options and the model.
 * @throws {RangeError} naming what the kernels cannot do: an option too large, a model of another shape.
 */
export function stepBounds(
  options: Pick<EngineOptions, "maxBatchTokens" | "maxRunning" | "maxRoutes" | "maxModelLen">,
  config: ModelConfig,
  pagesPerBlock: number,
): StepBounds {
  const { maxBatchTokens, maxRunning, maxRoutes } = options;
  const maxModelLen = options.maxModelLen ?? Math.min(config.maxPositions, DEFAULT_MODEL_LEN);
  const atMost = (most: number, what: string, why: string, received: number) => {
    if (received <= most) return;
    throw new RangeError(`Cannot use ${what}: ${why}, received ${received}`);
  };
  const { maxPositions, headDim, heads, kvHeads } = config;
  const step = `a step takes at most ${MAX_WORKGROUPS}`;
  const routes = `a token mixes at most ${MAX_ROUTES} adapters`;
  const head = `attention takes a head_dim of at most ${MAX_HEAD_DIM}`;
  const group = `at most ${MAX_GROUP} heads may share a kv head`;
  atMost(maxPositions, "max-model-len", `the model has ${maxPositions} positions`, maxModelLen);
  atMost(MAX_WORKGROUPS, "max-batch-tokens", step, maxBatchTokens);
  atMost(MAX_RUNNING, "max-running", `a step takes at most ${MAX_RUNNING}`, maxRunning);
  atMost(MAX_ROUTES, "max-routes", routes, maxRoutes);
  atMost(MAX_HEAD_DIM, "this model", head, headDim);
  atMost(MAX_GROUP, "this model", group, heads / kvHeads);
  const maxLogitRows = Math.max(maxRunning, LEAST_LOGIT_ROWS);
  const decodeItems = maxRunning + DECODE_WORKGROUPS;
  const bounds = { maxTokens: maxBatchTokens, maxLogitRows, maxSlots: maxRunning, maxRoutes };
  const tablePages = Math.ceil(maxModelLen / BLOCK_TOKENS) * pagesPerBlock;
  return {
    ...bounds,
    maxModelLen,
    decodeItems,
    stepWords: stepWords({ ...bounds, decodeItems }, tablePages),
  };
}

/** Words of the largest step: each term is the most that one of planStep's tables can take. */
function stepWords(
  bounds: Omit<StepBounds, "maxModelLen" | "stepWords">,
  tablePages: number,
): number {
  const { maxTokens, maxLogitRows, maxSlots, maxRoutes, decodeItems } = bounds;
  // Tokens of a sequence share shrink items by SHRINK_TOKENS, each an entry; of these one item for every module's every
  // SHRINK_RANKS rank rows.
  const items = 4 * maxRoutes * (MAX_RANK / SHRINK_RANKS);
  const sequences = Math.min(maxSlots, maxTokens);
  const shared = sequences + Math.floor((maxTokens - sequences) / SHRINK_TOKENS);
  // Each sequence is one row of a step, and samples at most once.
  const slot = tablePages + 2 * MAX_LOGIT_BIAS + 4;
  // Itself, routes in both pools, and its part of a prefill tile, which has two tokens or more.
  const token = 4 + 4 * maxRoutes + 1 + maxRoutes;
  const logits = 1 + SAMPLE_WORDS + maxRoutes + items;
  return STEP_HEADER_WORDS + maxSlots * slot + maxTokens * token + maxLogitRows * logits +
    decodeItems * 4 + shared * LAYER_MODULES.length * items;
}
