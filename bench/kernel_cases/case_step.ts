import { PREFILL_TILE } from "../../kernels/attention_prefill/attention_prefill.ts";
import { ONE_SLAB, type StepTables, writeStep } from "../../kernels/step_words.ts";
import { GREEDY } from "../../actors/sampling.ts";
import { openSlot } from "../../actors/executor/slots.ts";
import { planStep } from "../../actors/executor/step_plan.ts";
import { pageId, requestId, slotId } from "../../memory/ids.ts";
import { BLOCK_TOKENS, pageGeometry } from "../../models/adapter_image.ts";
import type { ModelConfig } from "../../models/model_config.ts";

/** A step as the executor lays it out, on pages that follow each other. */
export interface CaseStep {
  readonly tables: StepTables;
  readonly words: Uint32Array<ArrayBuffer>;
  /** Pages that it takes, the first one included. */
  readonly pages: number;
  /** Of row `r`, its first one. */
  firstPage(r: number): number;
}

/** From this many rows on a step is one prompt, with fewer a decode step of sequences. */
export const PROMPT_ROWS = 512;
const WORDS = 2 ** 20;

/** `rows` sequences that find `context` tokens with their own, or a prompt of `rows` tokens; on pages from `page` on. */
export function caseStep(
  config: ModelConfig,
  rows: number,
  context: number,
  page: number,
): CaseStep {
  const { kvHeads, headDim } = config;
  const { pagesPerBlock } = pageGeometry(kvHeads, headDim);
  const prompt = rows >= PROMPT_ROWS;
  const length = prompt ? rows : context;
  const each = Math.ceil(length / BLOCK_TOKENS) * pagesPerBlock;
  const sequences = prompt ? 1 : rows;
  const slots = Array.from({ length: sequences }, (_, r) => {
    const slot = openSlot(slotId(r), requestId(`r${r}`), GREEDY, []);
    for (let p = 0; p < each; p++) slot.pages.push(pageId(page + r * each + p));
    return slot;
  });
  const planned = slots.map(({ slot }) => ({
    slot,
    tokens: prompt ? Array.from({ length: rows }, () => 1) : null,
    position: prompt ? 0 : context - 1,
    newPages: [],
    sample: true,
    promptTargets: null,
  }));
  const shape = { kvHeads, maxRoutes: 1, window: null, tileTokens: PREFILL_TILE };
  const { tables } = planStep(planned, slots, shape);
  const words = new Uint32Array(WORDS);
  const used = writeStep(words, tables);
  return {
    tables,
    words: words.slice(0, used),
    pages: sequences * each,
    firstPage: (r) => page + r * each,
  };
}

/** What kernels are compiled with to find pages in one slab. */
export function pageConstants({ kvHeads, headDim }: ModelConfig) {
  const { pageBytes, pagesPerBlock } = pageGeometry(kvHeads, headDim);
  return {
    pages: { PAGE_VECS: pageBytes / 16, SLAB_PAGES: ONE_SLAB },
    PAGES_PER_BLOCK: pagesPerBlock,
    pageBytes,
  };
}
