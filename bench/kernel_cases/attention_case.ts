import {
  attentionDecode,
  attentionDecodeWorkgroups,
  partialWords,
} from "../../kernels/attention_decode/attention_decode.ts";
import {
  attentionMerge,
  attentionMergeWorkgroups,
} from "../../kernels/attention_merge/attention_merge.ts";
import { attentionPrefillWorkgroups } from "../../kernels/attention_prefill/attention_prefill.ts";
import { attentionPrefillMatrix } from "../../kernels/attention_prefill_matrix/attention_prefill_matrix.ts";
import type { ConstantValues } from "../../kernels/compiler.ts";
import type { StepTables } from "../../kernels/step_words.ts";
import { prefillVariant } from "../../actors/executor/prefill_variant.ts";
import { errorOver } from "../support/error_over.ts";
import { CaseBuffers } from "./case_buffers.ts";
import { caseStep, pageConstants, PROMPT_ROWS } from "./case_step.ts";
import { dispatching, type KernelCase, type KernelSite } from "./kernel_case.ts";

/** Keys and values of all the steps that take turns: more than a cache holds. */
const TURNING_BYTES = 2 ** 28;
const SAMPLED = 3;

/** Attention of a decode step with its merge, or of a prompt, over random keys and values of one layer. */
export async function attentionCase(site: KernelSite, rows: number): Promise<KernelCase> {
  const { device, config, small } = site;
  const { heads, kvHeads, headDim } = config;
  const prompt = rows >= PROMPT_ROWS;
  const context = prompt ? rows : small ? 64 : 512;
  const { pages, PAGES_PER_BLOCK, pageBytes } = pageConstants(config);
  const buffers = new CaseBuffers(device);

  const sequences = prompt ? 1 : rows;
  const kvBytes = sequences * context * 2 * kvHeads * headDim * 2;
  const turns = small ? 1 : Math.max(1, Math.min(64, Math.floor(TURNING_BYTES / kvBytes)));
  const first = caseStep(config, rows, context, 0);
  const steps = Array.from(
    { length: turns },
    (_, i) => buffers.words(caseStep(config, rows, context, i * first.pages).words),
  );
  const kv = buffers.random(turns * first.pages * pageBytes / 2, "f16");
  const q = buffers.random(rows * heads * headDim, "f32");
  const out = buffers.empty(rows * heads * headDim * 2);
  const constants = { HEADS: heads, KV_HEADS: kvHeads, WINDOW: 0, PAGES_PER_BLOCK, ...pages };
  const inputs = { q: q.buffer, pool0: kv.buffer, pool1: buffers.empty(16), out };
  const made = prompt
    ? await ofPrompt(site, first.tables, steps, constants, inputs)
    : await ofDecode(site, first.tables, steps, constants, inputs, buffers);

  const key = (t: number, position: number, head: number, d: number) => {
    const page = first.firstPage(prompt ? 0 : t) + Math.floor(position / 16) * PAGES_PER_BLOCK;
    return kv.at(page * pageBytes / 2 + (head * 16 + position % 16) * headDim + d);
  };
  const right = (t: number, head: number): number[] => {
    const kvHead = Math.floor(head * kvHeads / heads);
    const sees = prompt ? t + 1 : context;
    const weights = Array.from({ length: sees }, (_, p) => {
      let score = 0;
      for (let d = 0; d < headDim; d++) {
        score += q.at((t * heads + head) * headDim + d) * key(t, p, kvHead, d);
      }
      return Math.exp(score / Math.sqrt(headDim));
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return Array.from(
      { length: headDim },
      (_, d) => weights.reduce((sum, w, p) => sum + w * key(t, p, kvHeads + kvHead, d), 0) / total,
    );
  };
  const pairs = prompt ? rows * (rows + 1) / 2 : rows * context;
  return {
    ...made,
    what: prompt ? "prompt" : `context_${context}`,
    rows,
    bytes: kvBytes + rows * heads * headDim * (4 + 2),
    flops: 4 * heads * headDim * pairs,
    async error() {
      const seen = new Float16Array(await buffers.results((pass) => made.run(pass, 0), out));
      return errorOver(
        Array.from({ length: SAMPLED }, (_, i) => {
          const t = Math.floor((rows - 1) * i / (SAMPLED - 1));
          const head = (i * 5) % heads;
          const at = (t * heads + head) * headDim;
          return right(t, head).map((value, d) => [seen[at + d] ?? NaN, value] as const);
        }).flat(),
      );
    },
    [Symbol.dispose]: () => buffers[Symbol.dispose](),
  };
}

type Made = Pick<KernelCase, "kernel" | "peak" | "run">;
type Constants = ConstantValues<
  "HEADS" | "KV_HEADS" | "WINDOW" | "PAGES_PER_BLOCK" | "PAGE_VECS" | "SLAB_PAGES"
>;
type Inputs = Readonly<Record<"q" | "pool0" | "pool1" | "out", GPUBuffer>>;

async function ofPrompt(
  { compiler, config: { heads, kvHeads, headDim } }: KernelSite,
  { prefillTiles }: StepTables,
  steps: readonly GPUBuffer[],
  constants: Constants,
  inputs: Inputs,
): Promise<Made> {
  const { kernel, header } = prefillVariant(compiler, headDim);
  const { pipeline, bind } = await compiler.compile(kernel, constants, header);
  const groups = steps.map((step) => bind({ ...inputs, step }));
  const workgroups = attentionPrefillWorkgroups(prefillTiles.length / 2, heads, kvHeads);
  return {
    kernel: kernel.name,
    peak: kernel === attentionPrefillMatrix ? "matrix" : "fma",
    run(pass, i) {
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, groups[i % groups.length] ?? null);
      pass.dispatchWorkgroups(...workgroups);
    },
  };
}

/** With its merge, where keys of a sequence are shared out. */
async function ofDecode(
  { compiler, config: { heads, kvHeads, headDim } }: KernelSite,
  { decodeItems, decodeRows }: StepTables,
  steps: readonly GPUBuffer[],
  constants: Constants,
  { out, ...inputs }: Inputs,
  buffers: CaseBuffers,
): Promise<Made> {
  const items = decodeItems.length / 4;
  const partials = buffers.empty(partialWords(items, heads, headDim) * 4);
  const own = await compiler.compile(attentionDecode, { ...constants, HEAD_DIM: headDim });
  const merge = await compiler.compile(attentionMerge, { HEADS: heads, HEAD_DIM: headDim });
  const runs = steps.map((step) => {
    const decode = dispatching(
      own.pipeline,
      own.bind({ ...inputs, step, partials, out }),
      attentionDecodeWorkgroups(items, heads, kvHeads),
    );
    if (decodeRows.length === 0) return decode;
    const merging = dispatching(
      merge.pipeline,
      merge.bind({ step, partials, out }),
      attentionMergeWorkgroups(decodeRows.length / 4, heads),
    );
    return (pass: GPUComputePassEncoder) => {
      decode(pass);
      merging(pass);
    };
  });
  return {
    kernel: "attention_decode",
    peak: "fma",
    run: (pass, i) => runs[i % runs.length]?.(pass),
  };
}
