import { attentionPrefill } from "../../kernels/attention_prefill/attention_prefill.ts";
import {
  attentionPrefillMatrix,
  attentionPrefillMatrixFits,
} from "../../kernels/attention_prefill_matrix/attention_prefill_matrix.ts";
import type { Compiler } from "../../kernels/compiler.ts";
import type { WorkgroupLimits } from "../../kernels/matrix_units.ts";

/** Keys that a workgroup takes at a time. */
const KEYS = 32;

/** A prompt's attention, on matrix units where the device has them and memory enough for such heads. */
export function prefillVariant(
  device: Pick<Compiler, "matrices" | keyof WorkgroupLimits>,
  headDim: number,
) {
  const vector = { kernel: attentionPrefill, header: { HEAD_DIM: headDim } };
  if (!device.matrices) return vector;
  const { size, subgroup } = device.matrices;
  const header = { HEAD_DIM: headDim, KEYS, MATRIX: size, SUBGROUP: subgroup };
  if (!attentionPrefillMatrixFits(header, device)) return vector;
  return { kernel: attentionPrefillMatrix, header };
}
