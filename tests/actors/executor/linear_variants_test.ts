import { assert, assertEquals } from "@std/assert";
import {
  chooseVariant,
  linearVariants,
  projectedRows,
} from "../../../actors/executor/linear_variants.ts";
import { prefillVariant } from "../../../actors/executor/prefill_variant.ts";
import { shaderText } from "../../../kernels/compiler.ts";

/** Matrices, subgroups and workgroups of cards that are, and of some that are not. */
const CARDS = [
  { matrices: null, workgroupBytes: 16384, lanes: 256 },
  ...[16384, 32768, 49152, 65536].flatMap((workgroupBytes) =>
    [[16, 32], [8, 8], [8, 32], [16, 64], [16, 16], [32, 32], [16, 8]].map((
      [size = 0, subgroup = 0],
    ) => ({ matrices: { size, subgroup }, workgroupBytes, lanes: workgroupBytes / 64 }))
  ),
];

/** Some of every entry's, and on either side of where the next one begins. */
const ROWS = [
  ...[1, 2, 5, 16, 17, 64, 65, 128, 129, 192, 193, 256, 257, 384, 385, 500, 768, 769],
  8192,
];

Deno.test("whatever matrices and subgroups a card has, its subgroups share tilings evenly and some variant takes any sizes", () => {
  for (const card of CARDS) {
    const variants = linearVariants(card);
    // Throws where a loop over an invocation's matrices has no whole count.
    for (const { kernel, header } of variants) {
      assert(shaderText(kernel, header).includes("fn main"));
      const { SUBGROUP = 1, ROW_GROUPS = 1, OUT_GROUPS = 1, K_GROUPS = 1 } = header;
      const threads = SUBGROUP * ROW_GROUPS * OUT_GROUPS * K_GROUPS;
      assert(threads <= card.lanes);
      // What LoRA's shrink of a tiling adds up: sums of its lanes, to a quarter and again.
      const lanes = Math.min(threads, 128);
      if (kernel.name === "linear_matrix") {
        assert(lanes % 16 === 0 && lanes >= 4 * (header.RANKS ?? 0), `${lanes} lanes`);
      }
    }
    // The head's logits are in one plane.
    const single = variants.filter(({ planes }) => planes === 1);
    for (const rows of ROWS) {
      for (const out of [8, 64, 4096, 28672, 128256]) {
        const chosen = chooseVariant(variants, rows, out);
        assert(chosen, `${JSON.stringify(card)}: ${rows} x ${out}`);
        assert(chosen.planes * rows <= projectedRows(rows), `${chosen.planes} planes of ${rows}`);
        assert(chooseVariant(single, rows, out), `one plane: ${rows} x ${out}`);
      }
    }
    for (const headDim of [16, 64, 128, 256]) {
      const { kernel, header } = prefillVariant(card, headDim);
      assert(shaderText(kernel, header).includes("fn main"));
    }
  }
});

Deno.test("NVIDIA's matrices serve prompts and batches, and one row goes without", () => {
  const card = { matrices: { size: 16, subgroup: 32 }, workgroupBytes: 49152, lanes: 1024 };
  const name = (rows: number) => chooseVariant(linearVariants(card), rows, 4096)?.kernel.name;
  assertEquals([1, 4, 5, 128, 2048].map(name), [
    ...["linear_rows", "linear_rows"],
    ...["linear_matrix", "linear_matrix", "linear_matrix"],
  ]);
  assertEquals(prefillVariant(card, 128).kernel.name, "attention_prefill_matrix");
});

Deno.test("decode rows beside a prompt make work for most processors of a large card, and not for many more", () => {
  const card = { matrices: { size: 16, subgroup: 32 }, workgroupBytes: 49152, lanes: 1024 };
  for (const rows of [129, 192, 193, 256, 300, 384, 385, 512, 640]) {
    for (const out of [4096, 6144]) {
      const variant = chooseVariant(linearVariants(card), rows, out);
      const work = variant?.work(rows, out, 0) ?? 0;
      assert(work >= 100 && work <= 192, `${rows} x ${out}: ${work} workgroups`);
    }
  }
});

Deno.test("a short k is shared by few lanes, and any number of columns has a variant", () => {
  for (const card of CARDS) {
    for (const columns of [8, 192, 256, 512, 4096]) {
      const able = linearVariants(card, columns);
      for (const rows of [1, 2, 5, 16, 64, 500]) {
        const { header } = chooseVariant(able, rows, 4096) ?? {};
        assert(header, `${rows} x ${columns}`);
        const { LANES = 8 } = header;
        assert(LANES <= 8 || columns >= 512, `${LANES} lanes for ${columns} columns`);
      }
    }
  }
});
