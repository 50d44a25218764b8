import { attentionPrefill } from "../../kernels/attention_prefill/attention_prefill.ts";
import {
  attentionPrefillMatrix,
  attentionPrefillMatrixBytes,
} from "../../kernels/attention_prefill_matrix/attention_prefill_matrix.ts";
import type { Compiler } from "../../kernels/compiler.ts";

/** Keys that a workgroup takes at a time. */
const KEYS = 32;

/** A prompt's attention, on matrix units where the device has them and memory enough for such heads. */
export function prefillVariant(
  { matrices, workgroupBytes }: Pick<Compiler, "matrices" | "workgroupBytes">,
  headDim: number,
) {
  const vector = { kernel: attentionPrefill, header: { HEAD_DIM: headDim } };
  if (!matrices) return vector;
  const { size, subgroup } = matrices;
  if (attentionPrefillMatrixBytes(headDim, KEYS, size) > workgroupBytes) return vector;
  const header = { HEAD_DIM: headDim, KEYS, MATRIX: size, SUBGROUP: subgroup };
  return { kernel: attentionPrefillMatrix, header };
}
