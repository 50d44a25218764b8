import { defineKernel } from "../kernel.ts";
import reduce from "../shared/reduce.wgsl" with { type: "text" };
import unpack from "../shared/unpack.wgsl" with { type: "text" };
import source from "./quantize.wgsl" with { type: "text" };

export const quantize = defineKernel({
  name: "quantize",
  source,
  includes: [unpack, reduce],
  bindings: { job: "read", staged: "read", target_words: "read_write" },
  constants: ["WORKGROUP"],
});

/** Words of `quantize`'s job: a matrix [out][input], of which `rows` rows from `first` on are staged. */
export const quantizeJob = (
  { input, out, first, rows, bf16 }: Readonly<
    Record<"input" | "out" | "first" | "rows", number> & { bf16: boolean }
  >,
): Uint32Array<ArrayBuffer> => Uint32Array.of(input, out, first, rows, Number(bf16));
